from pyspark.sql import functions as F


def revenue(spark, path, day, min_amount):
    orders = spark.read.parquet(path).cache()
    wanted = orders.filter((orders.day == day) & (orders.amount > min_amount))
    return wanted.groupBy("country").agg(F.sum("amount").alias("revenue"))
