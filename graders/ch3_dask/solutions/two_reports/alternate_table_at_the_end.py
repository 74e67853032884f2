"""By code in each file, by region only once at the end: the table is needed by a single task."""

from collections import Counter

from dask import delayed


def two_reports(paths, load, table):
    if not paths:
        return {}, {}

    def by_code(sales):
        found = {}
        for code, amount in sales:
            total, largest = found.get(code, (0, 0))
            found[code] = (total + amount, max(largest, amount))
        return found

    def report(files):
        totals, largest = Counter(), {}
        for found in files:
            for code, (total, most) in found.items():
                if code in table:
                    region = table[code]
                    totals[region] += total
                    largest[region] = max(most, largest.get(region, most))
        return dict(totals), largest

    parts = [delayed(by_code)(delayed(load)(path)) for path in paths]
    return delayed(report)(parts).compute()
