import numpy as np


def key_stats(rdd, n):
    if n <= 0:
        raise ValueError("need one partition or more")
    nothing = (0, 0.0, -np.inf)
    return rdd.aggregateByKey(
        nothing,
        lambda acc, x: (acc[0] + 1, acc[1] + x, x if x > acc[2] else acc[2]),
        lambda a, b: (a[0] + b[0], a[1] + b[1], a[2] if a[2] > b[2] else b[2]),
        numPartitions=n,
    )
