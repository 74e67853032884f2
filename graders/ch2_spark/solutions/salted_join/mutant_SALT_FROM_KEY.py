from pyspark.sql import functions as F


def salted_join(big, small, key, n):
    if n < 1:
        raise ValueError(f"n is {n}")
    left = big.withColumn("_salt", F.pmod(F.hash(key), F.lit(n)))
    right = small.withColumn("_salt", F.pmod(F.hash(key), F.lit(n)))
    return left.join(right, on=[key, "_salt"]).drop("_salt")


def salted_sum(df, add_up, n):
    if n < 1:
        raise ValueError(f"n is {n}")
    df = df.withColumn("_salt", F.pmod(F.hash("key"), F.lit(n)))
    parts = df.groupBy("key", "_salt").agg(add_up("value").alias("value"))
    return parts.groupBy("key").agg(add_up("value").alias("total"))
