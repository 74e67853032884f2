def write_table(df, path, keys, rows_per_file):
    if not keys:
        raise ValueError("keys is empty")
    if rows_per_file < 1:
        raise ValueError("rows_per_file must be at least 1")
    writer = df.repartition(*keys).write.mode("overwrite").partitionBy(*keys)
    writer.option("partitionOverwriteMode", "dynamic").parquet(path)


def write_bucketed(df, table, key, buckets):
    df.repartition(buckets, key).write.mode("overwrite").bucketBy(buckets, key).saveAsTable(table)
