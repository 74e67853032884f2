"""The loads are made twice, but `pure=True` gives them keys that tell what they do."""

import dask
from dask import delayed


def two_reports(paths, load, table):
    regions = delayed(table)

    def regional(sales, regions):
        return [(regions[code], amount) for code, amount in sales if code in regions]

    def gather(lists, op):
        found = {}
        for region, amount in (pair for pairs in lists for pair in pairs):
            found[region] = op(found[region], amount) if region in found else amount
        return found

    def sales():
        loads = [delayed(load, pure=True)(path) for path in paths]
        return [delayed(regional, pure=True)(load, regions) for load in loads]

    totals = delayed(gather)(sales(), int.__add__)
    largest = delayed(gather)(sales(), max)
    return dask.compute(totals, largest)
