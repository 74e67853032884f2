"""The join by SQL; more salts than asked for in the sum."""

from uuid import uuid4

from pyspark.sql import functions as F


def salted_join(big, small, key, n):
    if n < 1:
        raise ValueError(n)
    spark = big.sparkSession
    a, b = f"big_{uuid4().hex}", f"small_{uuid4().hex}"
    big.withColumn("_salt", F.expr(f"cast(rand() * {int(n)} as int)")).createOrReplaceTempView(a)
    small.createOrReplaceTempView(b)
    try:
        return spark.sql(
            f"""SELECT {a}.* EXCEPT (_salt), copies.* EXCEPT (`{key}`, _salt) FROM {a} JOIN
            (SELECT *, explode(sequence(0, {int(n) - 1})) AS _salt FROM {b}) AS copies
            ON {a}.`{key}` = copies.`{key}` AND {a}._salt = copies._salt"""
        )
    finally:
        spark.catalog.dropTempView(a)
        spark.catalog.dropTempView(b)


def salted_sum(df, add_up, n):
    if n < 1:
        raise ValueError(n)
    where = F.spark_partition_id()
    numbered = df.select("key", "value", F.concat_ws("/", where, F.floor(F.rand() * n)).alias("_s"))
    partial = numbered.groupBy("key", "_s").agg(add_up("value").alias("value"))
    return partial.groupBy("key").agg(add_up("value").alias("total"))
