from uuid import uuid4

from pyspark import StorageLevel


def profile(df, questions, level):
    if df.storageLevel != StorageLevel.NONE:
        # Not by a view: dropping one would also drop the cache of the plan behind it.
        return {name: question(df) for name, question in questions.items()}
    spark, view = df.sparkSession, f"profile_{uuid4().hex}"
    df.createOrReplaceTempView(view)
    try:
        spark.catalog.cacheTable(view, level)
        table = spark.table(view)
        return {name: question(table) for name, question in questions.items()}
    finally:
        spark.catalog.dropTempView(view)
