from pathlib import Path

import dask.dataframe as dd
import pandas as pd


def load(path, cols, lo, hi):
    def read(file):
        return pd.read_parquet(file, columns=cols, filters=[("day", ">=", lo), ("day", "<", hi)])

    files = sorted(Path(path).glob("*.parquet"))
    return dd.from_map(read, files, meta=dd.read_parquet(path)[cols]._meta)
