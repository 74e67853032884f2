from pyspark.sql import functions as F


def revenue(spark, path, day, min_amount):
    @F.udf("boolean")
    def counts(amount):
        return amount is not None and amount > min_amount

    orders = spark.read.parquet(path)
    return (
        orders.filter((F.col("day") == day) & counts("amount"))
        .groupBy("country")
        .agg(F.sum("amount").alias("revenue"))
    )
