def key_stats(rdd, n):
    if n < 1:
        raise ValueError("n must be at least 1")
    return rdd.aggregateByKey(
        (0, 0.0, 0.0),
        lambda acc, value: (acc[0] + 1, acc[1] + value, max(acc[2], value)),
        lambda a, b: (a[0] + b[0], a[1] + b[1], max(a[2], b[2])),
        n,
    )
