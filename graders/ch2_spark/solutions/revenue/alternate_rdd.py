from pyspark.sql import functions as F


def revenue(spark, path, day, min_amount):
    orders = spark.read.parquet(path).filter(F.col("day") == day)
    large = orders.filter(F.col("amount") > min_amount).select("country", "amount")
    pairs = large.rdd.map(lambda row: (row.country, row.amount))
    return pairs.reduceByKey(lambda a, b: a + b).toDF("country string, revenue double")
