from pyspark.sql import functions as F


def report(orders, customers, countries):
    joined = orders.join(customers.drop("version"), "customer_id", "left")
    joined = joined.join(F.broadcast(countries), "country", "left")
    return joined.select("order_id", "amount", "name", "label")
