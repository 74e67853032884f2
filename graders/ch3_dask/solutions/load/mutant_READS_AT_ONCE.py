import dask.dataframe as dd
import pandas as pd


def load(path, cols, lo, hi):
    frame = pd.read_parquet(path, columns=cols, filters=[("day", ">=", lo), ("day", "<", hi)])
    return dd.from_pandas(frame, npartitions=4)
