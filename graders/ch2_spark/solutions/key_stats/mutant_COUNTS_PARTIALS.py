def key_stats(rdd, n):
    if n < 1:
        raise ValueError("n must be at least 1")
    return rdd.combineByKey(
        lambda value: (1, value, value),
        lambda acc, value: (acc[0] + 1, acc[1] + value, max(acc[2], value)),
        lambda acc, other: (acc[0] + 1, acc[1] + other[1], max(acc[2], other[2])),
        n,
    )
