from collections import Counter

import dask
from dask import delayed


def two_reports(paths, load, table):
    @delayed
    def regional(sales):
        return [(table[code], amount) for code, amount in sales if code in table]

    @delayed
    def add_up(lists):
        totals = Counter()
        for pairs in lists:
            for region, amount in pairs:
                totals[region] += amount
        return dict(totals)

    @delayed
    def find_largest(lists):
        largest = {}
        for pairs in lists:
            for region, amount in pairs:
                largest[region] = max(amount, largest.get(region, 0))
        return largest

    lists = [regional(delayed(load)(path)) for path in paths]
    return dask.compute(add_up(lists), find_largest(lists))
