def key_stats(rdd, n):
    if n < 1:
        raise ValueError("n must be at least 1")
    triples = rdd.map(lambda pair: (pair[0], [1, pair[1], pair[1]]))
    merged = triples.reduceByKey(lambda a, b: [a[0] + b[0], a[1] + b[1], max(a[2], b[2])], n)
    return merged.map(lambda pair: (pair[0], tuple(pair[1])))
