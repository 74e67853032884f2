from pathlib import Path

from pyspark.sql.functions import col
from pyspark.sql.functions import sum as total


def revenue(spark, path, day, min_amount):
    folder = Path(path) / f"day={day}"
    columns = "country string, amount double"
    if not folder.is_dir():
        return spark.createDataFrame([], "country string, revenue double")
    orders = spark.read.schema(columns).parquet(str(folder))
    return (
        orders.where(col("amount") > min_amount)
        .groupBy("country")
        .agg(total("amount").alias("revenue"))
    )
