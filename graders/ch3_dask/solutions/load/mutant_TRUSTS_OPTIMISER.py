import dask.dataframe as dd


def load(path, cols, lo, hi):
    frame = dd.read_parquet(path)
    return frame[(frame["day"] >= lo) & (frame["day"] < hi)][cols]
