"""The salt comes from the other columns, so that a repeated task draws the same ones."""

from pyspark.sql import functions as F


def salted_join(big, small, key, n):
    if n < 1:
        raise ValueError("n must be at least 1")
    others = [c for c in big.columns if c != key]
    salted = big.withColumn("_salt", F.pmod(F.xxhash64(*others), F.lit(n)).cast("int"))
    salts = F.array(*[F.lit(i) for i in range(n)])
    replicated = small.select("*", F.explode(salts).alias("_salt"))
    return replicated.join(salted, [key, "_salt"]).drop("_salt")


def salted_sum(df, add_up, n):
    if n < 1:
        raise ValueError("n must be at least 1")
    salt = F.pmod(F.xxhash64("value"), F.lit(n))
    first = df.groupBy("key", salt.alias("_salt")).agg(add_up("value").alias("value"))
    return first.groupBy("key").agg(add_up("value").alias("total"))
