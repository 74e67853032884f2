from pyspark.sql import functions as F


def report(orders, customers, countries):
    people = customers.dropDuplicates(["customer_id"]).drop("version")
    labels = countries.dropDuplicates(["country"]).drop("version")
    joined = orders.join(people, "customer_id", "left")
    joined = joined.join(F.broadcast(labels), "country", "left")
    return joined.select("order_id", "amount", "name", "label")
