def top_k(ddf, key, col, k):
    if k < 1:
        raise ValueError("k")

    def largest(part):
        return part.dropna().sort_values(col, ascending=False).groupby(key).head(k)

    pairs = ddf[[key, col]]
    few = pairs.map_partitions(largest, meta=pairs._meta)
    return few.shuffle(key).map_partitions(largest, meta=pairs._meta)
