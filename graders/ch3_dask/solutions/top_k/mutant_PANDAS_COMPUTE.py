import dask.dataframe as dd


def top_k(ddf, key, col, k):
    if k < 1:
        raise ValueError("k must be 1 or more")

    frame = ddf[[key, col]].dropna().compute()
    best = frame.sort_values(col, ascending=False).groupby(key).head(k)
    return dd.from_pandas(best, npartitions=1)
