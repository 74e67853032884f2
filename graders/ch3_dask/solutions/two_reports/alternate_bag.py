import dask
import dask.bag as db
from dask import delayed


def two_reports(paths, load, table):
    if not paths:
        return {}, {}

    def known(sales, regions):
        return [(regions[code], amount) for code, amount in sales if code in regions]

    sales = db.from_sequence(paths, npartitions=len(paths)).map(load)
    pairs = sales.map(known, delayed(table)).flatten()

    def by_region(op):
        return pairs.foldby(lambda pair: pair[0], lambda best, pair: op(best, pair[1]), 0, op, 0)

    totals = by_region(lambda a, b: a + b)
    largest = by_region(max)
    totals, largest = dask.compute(totals, largest)
    return dict(totals), dict(largest)
