from pathlib import Path

import dask.dataframe as dd


def load(path, cols, lo, hi):
    days = [("day", ">=", lo), ("day", "<", hi)]
    files = sorted(str(file) for file in Path(path).glob("*.parquet"))
    return dd.concat([dd.read_parquet(file, columns=cols, filters=days) for file in files])
