def top_k(ddf, key, col, k):
    if not k > 0:
        raise ValueError(k)

    def choose(part):
        part = part.dropna()
        return part.sort_values([key, col]).groupby(key).tail(k)

    level = ddf[[key, col]]
    level = level.map_partitions(choose, meta=level._meta)
    while level.npartitions > 1:
        level = level.repartition(npartitions=(level.npartitions + 1) // 2)
        level = level.map_partitions(choose, meta=level._meta)
    return level
