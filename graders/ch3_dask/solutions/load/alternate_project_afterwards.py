import dask.dataframe as dd


def load(path, cols, lo, hi):
    days = [[("day", ">=", lo), ("day", "<", hi)]]
    return dd.read_parquet(path, filters=days)[cols]
