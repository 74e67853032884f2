from collections import defaultdict


class Stats:
    def __init__(self):
        self.count, self.total, self.largest = 0, 0.0, float("-inf")

    def add(self, count, total, largest):
        self.count += count
        self.total += total
        self.largest = max(self.largest, largest)


def fold(partials):
    by_key = defaultdict(Stats)
    for key, partial in partials:
        by_key[key].add(*partial)
    for key, s in by_key.items():
        yield key, (s.count, s.total, s.largest)


def key_stats(rdd, n):
    if n < 1:
        raise ValueError("n is the number of partitions and must be 1 or more")
    local = rdd.mapPartitions(lambda pairs: fold((k, (1, v, v)) for k, v in pairs))
    return local.partitionBy(n).mapPartitions(fold, preservesPartitioning=True)
