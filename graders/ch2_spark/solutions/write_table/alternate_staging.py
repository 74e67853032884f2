import shutil
import tempfile
from pathlib import Path


def write_table(df, path, keys, rows_per_file):
    """Write the new rows beside the table, then swap directory by directory."""
    if not keys:
        raise ValueError("no keys")
    if rows_per_file < 1:
        raise ValueError("no rows")
    Path(path).mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp()) / "new"
    together = df.repartition(df.sparkSession.sparkContext.defaultParallelism * 2, *keys)
    writer = together.sortWithinPartitions(*keys).write.partitionBy(*keys)
    writer.option("maxRecordsPerFile", rows_per_file).parquet(str(staging))
    for new in {file.parent for file in staging.rglob("*.parquet")}:
        old = Path(path) / new.relative_to(staging)
        shutil.rmtree(old, ignore_errors=True)
        old.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(str(new), str(old))
    shutil.rmtree(staging.parent)


def write_bucketed(df, table, key, buckets):
    df.sparkSession.sql(f"DROP TABLE IF EXISTS {table}")
    writer = df.repartition(buckets, df[key]).write.format("parquet")
    writer.bucketBy(buckets, key).sortBy(key).saveAsTable(table)
