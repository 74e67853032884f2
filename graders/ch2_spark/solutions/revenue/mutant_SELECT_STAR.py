from pyspark.sql import functions as F


def revenue(spark, path, day, min_amount):
    orders = (
        spark.read.parquet(path)
        .filter(F.col("day") == day)
        .filter(F.col("amount") > min_amount)
        .dropDuplicates()
    )
    return orders.groupBy("country").agg(F.sum("amount").alias("revenue"))
