import dask.dataframe as dd


def top_k(ddf, key, col, k):
    if k < 1:
        raise ValueError("k")
    lists = dd.Aggregation(
        "largest",
        lambda groups: groups.apply(lambda values: sorted(values.dropna(), reverse=True)[:k]),
        lambda groups: groups.apply(
            lambda several: sorted((v for values in several for v in values), reverse=True)[:k]
        ),
    )
    found = ddf.groupby(key)[col].agg(lists).explode().dropna()
    return found.astype(ddf[col].dtype).reset_index()
