import dask.dataframe as dd


def load(path, cols, lo, hi):
    frame = dd.read_parquet(path, columns=[*cols, "day"] if "day" not in cols else cols)
    return dd.read_parquet(
        path, columns=list(frame.columns), filters=[("day", ">", lo - 1), ("day", "<=", hi - 1)]
    )[cols]
