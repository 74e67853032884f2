def top_k(ddf, key, col, k):
    if k < 1:
        raise ValueError("k must be 1 or more")

    def largest(part):
        part = part[[key, col]].dropna()
        return part.sort_values(col, ascending=False).groupby(key).head(k)

    return ddf.map_partitions(largest).repartition(npartitions=1).map_partitions(largest)
