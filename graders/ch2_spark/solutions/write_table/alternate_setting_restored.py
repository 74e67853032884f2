MODE = "spark.sql.sources.partitionOverwriteMode"


def write_table(df, path, keys, rows_per_file):
    if not keys or rows_per_file < 1:
        raise ValueError("keys must name a column and rows_per_file must be positive")
    session = df.sparkSession
    directories = df.select(*keys).distinct().count()
    before = session.conf.get(MODE)
    session.conf.set(MODE, "dynamic")
    try:
        together = df.repartition(max(2, directories), *keys)
        writer = together.write.option("maxRecordsPerFile", rows_per_file)
        writer.partitionBy(*keys).parquet(path, mode="overwrite")
    finally:
        session.conf.set(MODE, before)


def write_bucketed(df, table, key, buckets):
    one_task_for_a_bucket = df.repartition(buckets, key).sortWithinPartitions(key)
    writer = one_task_for_a_bucket.write.bucketBy(buckets, key)
    writer.mode("overwrite").saveAsTable(table, format="parquet")
