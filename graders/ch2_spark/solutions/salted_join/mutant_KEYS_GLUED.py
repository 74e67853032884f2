from pyspark.sql import functions as F


def salted_join(big, small, key, n):
    if n < 1:
        raise ValueError(f"n is {n}")
    salt = F.floor(F.rand() * n).cast("string")
    left = big.withColumn("_key", F.concat(F.col(key).cast("string"), salt))
    right = small.withColumn("_salt", F.explode(F.array(*[F.lit(i) for i in range(n)])))
    right = right.withColumn(
        "_key", F.concat(F.col(key).cast("string"), F.col("_salt").cast("string"))
    )
    return left.join(right.drop(key, "_salt"), on="_key").drop("_key")


def salted_sum(df, add_up, n):
    if n < 1:
        raise ValueError(f"n is {n}")
    df = df.withColumn("_salt", F.floor(F.rand() * n).cast("int"))
    parts = df.groupBy("key", "_salt").agg(add_up("value").alias("value"))
    return parts.groupBy("key").agg(add_up("value").alias("total"))
