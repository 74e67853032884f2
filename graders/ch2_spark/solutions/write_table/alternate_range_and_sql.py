def write_table(df, path, keys, rows_per_file):
    if len(keys) == 0 or rows_per_file < 1:
        raise ValueError("needs a key and at least one row per file")
    if not df.head(1):  # sampling for the ranges wants rows
        return
    ordered = df.repartitionByRange(*keys)
    options = {"maxRecordsPerFile": rows_per_file, "partitionOverwriteMode": "DYNAMIC"}
    ordered.write.save(path, format="parquet", mode="overwrite", partitionBy=keys, **options)


def write_bucketed(df, table, key, buckets):
    session = df.sparkSession
    df.createOrReplaceTempView("rows_to_bucket")
    session.sql(f"DROP TABLE IF EXISTS `{table}`")
    session.sql(
        f"CREATE TABLE `{table}` USING parquet "
        f"CLUSTERED BY (`{key}`) SORTED BY (`{key}`) INTO {buckets} BUCKETS "
        f"AS SELECT /*+ REPARTITION({buckets}, `{key}`) */ * FROM rows_to_bucket"
    )
    session.catalog.dropTempView("rows_to_bucket")
