import datetime


def revenue(spark, path, day, min_amount):
    sums = {}
    for row in spark.read.parquet(path).collect():
        if row.day == datetime.date.fromisoformat(day) and (row.amount or 0) > min_amount:
            sums[row.country] = sums.get(row.country, 0.0) + row.amount
    return spark.createDataFrame(list(sums.items()), "country string, revenue double")
