from collections import Counter

import dask
from dask import delayed


def two_reports(paths, load, table):
    lookup = delayed(table)

    def regional(sales, table):
        return [(table[code], amount) for code, amount in sales if code in table]

    def all_sales():
        return [delayed(regional)(delayed(load)(path), lookup) for path in paths]

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

    return dask.compute(delayed(add_up)(all_sales()), delayed(find_largest)(all_sales()))
