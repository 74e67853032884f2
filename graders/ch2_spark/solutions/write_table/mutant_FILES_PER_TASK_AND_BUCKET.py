def write_table(df, path, keys, rows_per_file):
    if not keys:
        raise ValueError("keys is empty")
    if rows_per_file < 1:
        raise ValueError("rows_per_file must be at least 1")
    (
        df.repartition(*keys)
        .write.mode("overwrite")
        .option("partitionOverwriteMode", "dynamic")
        .option("maxRecordsPerFile", rows_per_file)
        .partitionBy(*keys)
        .parquet(path)
    )


def write_bucketed(df, table, key, buckets):
    df.write.mode("overwrite").bucketBy(buckets, key).saveAsTable(table)
