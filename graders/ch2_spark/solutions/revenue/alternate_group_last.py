import datetime

from pyspark.sql import functions as F


def revenue(spark, path, day, min_amount):
    table = spark.read.parquet(path)
    wanted = datetime.date.fromisoformat(day)
    # Everything is grouped as written; the optimiser moves the day in front of it.
    sums = (
        table.withColumn("paid", F.col("amount"))
        .filter(~(F.col("paid") <= F.lit(min_amount)))
        .groupBy("day", "country")
        .agg(F.sum("paid").alias("revenue"))
    )
    return sums.filter(sums.day.isin(wanted)).drop("day")
