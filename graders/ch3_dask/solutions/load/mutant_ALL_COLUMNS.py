import dask.dataframe as dd


def load(path, cols, lo, hi):
    frame = dd.read_parquet(path, filters=[("day", ">=", lo), ("day", "<", hi)])
    return frame.map_partitions(lambda part: part[cols], meta=frame._meta[cols])
