from pyspark.sql import functions as F


def report(orders, customers, countries):
    people = customers.groupBy("customer_id").agg(
        F.max_by("name", "version").alias("name"), F.max_by("country", "version").alias("country")
    )
    labels = countries.groupBy("country").agg(F.max_by("label", "version").alias("label"))
    joined = orders.join(F.broadcast(people), "customer_id", "left")
    joined = joined.join(F.broadcast(labels), "country", "left")
    return joined.select("order_id", "amount", "name", "label")
