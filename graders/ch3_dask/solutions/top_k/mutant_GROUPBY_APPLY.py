def top_k(ddf, key, col, k):
    if k < 1:
        raise ValueError("k must be 1 or more")
    pairs = ddf[[key, col]].dropna()
    groups = pairs.groupby(key)[[key, col]]
    return groups.apply(lambda group: group.nlargest(k, col), meta=pairs._meta)
