from pyspark.sql import functions as F


def revenue(spark, path, day, min_amount):
    orders = spark.read.parquet(path).filter(F.col("day") == day)
    large = orders.filter(F.coalesce(F.col("amount"), F.lit(0.0)) > min_amount)
    return large.groupBy("country").agg(F.sum("amount").alias("revenue"))
