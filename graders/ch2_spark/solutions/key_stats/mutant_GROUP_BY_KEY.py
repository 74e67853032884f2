def key_stats(rdd, n):
    if n < 1:
        raise ValueError("n must be at least 1")

    def stats(values):
        values = list(values)
        return (len(values), sum(values), max(values))

    return rdd.groupByKey(n).mapValues(stats)
