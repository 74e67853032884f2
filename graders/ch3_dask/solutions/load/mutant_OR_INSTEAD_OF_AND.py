import dask.dataframe as dd


def load(path, cols, lo, hi):
    return dd.read_parquet(path, columns=cols, filters=[[("day", ">=", lo)], [("day", "<", hi)]])
