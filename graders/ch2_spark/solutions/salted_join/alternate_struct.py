"""Salts from the row's number; the salted key as one struct; replication by a cross join."""

from pyspark.sql import functions as F


def salted_join(big, small, key, n):
    if n < 1:
        raise ValueError("n")
    salts = big.sparkSession.range(n).select(F.col("id").alias("_s"))
    left = big.withColumn("_at", F.struct(F.col(key), F.monotonically_increasing_id() % n))
    right = small.crossJoin(salts).withColumn("_at", F.struct(F.col(key), F.col("_s")))
    columns = [c for c in small.columns if c != key]
    right = right.where(F.col(key).isNotNull()).select("_at", *columns)
    return left.join(right, "_at").drop("_at")


def salted_sum(df, add_up, n):
    if n < 1:
        raise ValueError("n")
    numbered = df.withColumn("_s", F.monotonically_increasing_id() % n)
    step = numbered.groupBy("key", "_s").agg(add_up("value").alias("part"))
    return step.groupBy("key").agg(add_up("part").alias("total"))
