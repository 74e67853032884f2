def merge(a, b):
    return [a[0] + b[0], a[1] + b[1], max(a[2], b[2])]


def summarise(pairs):
    table = {}
    for key, value in pairs:
        partial = [1, value, value]
        table[key] = merge(table[key], partial) if key in table else partial
    return table.items()


def key_stats(rdd, n):
    if n < 1:
        raise ValueError(n)
    return rdd.mapPartitions(summarise).reduceByKey(merge, n).mapValues(tuple)
