def key_stats(rdd, n):
    if n < 1:
        raise ValueError("n must be at least 1")
    table = {}
    for key, value in rdd.collect():
        count, total, largest = table.get(key, (0, 0.0, value))
        table[key] = (count + 1, total + value, max(largest, value))
    return rdd.context.parallelize(list(table.items()), n).partitionBy(n)
