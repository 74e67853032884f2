import dask.dataframe as dd


def load(path, cols, lo, hi):
    frame = dd.read_parquet(path, filters=[("day", ">=", lo), ("day", "<", hi)])
    return frame[(frame.day >= lo) & (frame.day < hi)][cols]
