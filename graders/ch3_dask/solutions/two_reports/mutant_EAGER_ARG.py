from collections import Counter

import dask
from dask import delayed


def two_reports(paths, load, table):
    def regional(sales, table):
        return [(table[code], amount) for code, amount in sales if code in table]

    def add_up(lists):
        totals = Counter()
        for pairs in lists:
            for region, amount in pairs:
                totals[region] += amount
        return dict(totals)

    def find_largest(lists):
        largest = {}
        for pairs in lists:
            for region, amount in pairs:
                largest[region] = max(amount, largest.get(region, 0))
        return largest

    lookup = delayed(table)
    lists = [delayed(regional)(load(path), lookup) for path in paths]
    return dask.compute(delayed(add_up)(lists), delayed(find_largest)(lists))
