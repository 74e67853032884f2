from pyspark.sql.functions import broadcast, max_by, struct
from pyspark.sql.functions import max as largest


def report(orders, customers, countries):
    labels = countries.groupBy("country").agg(max_by("label", "version").alias("label"))
    people = customers.groupBy("customer_id").agg(
        largest(struct("version", "name", "country")).alias("now")
    )
    people = people.select("customer_id", "now.name", "now.country")
    people = people.join(broadcast(labels), "country", "left_outer")
    known = people.join(orders, "customer_id", "right_outer")
    return known.select("order_id", "amount", "name", "label")
