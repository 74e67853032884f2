from pyspark.sql import functions as F


def revenue(spark, path, day, min_amount):
    orders = spark.read.parquet(path).where(f"day = '{day}' and amount > {min_amount}")
    kept = orders.select("country", "amount").cache()
    return kept.groupBy("country").agg(F.sum("amount").alias("revenue"))
