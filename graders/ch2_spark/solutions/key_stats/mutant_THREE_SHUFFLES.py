def key_stats(rdd, n):
    if n < 1:
        raise ValueError("n must be at least 1")
    counts = rdd.mapValues(lambda value: 1).reduceByKey(lambda a, b: a + b, n)
    sums = rdd.reduceByKey(lambda a, b: a + b, n)
    maxima = rdd.reduceByKey(max, n)
    joined = counts.join(sums, n).join(maxima, n)
    return joined.mapValues(lambda nested: (nested[0][0], nested[0][1], nested[1]))
