import dask
from dask.delayed import Delayed


def two_reports(paths, load, table):
    def regional(sales, table):
        return [(table[code], amount) for code, amount in sales if code in table]

    def gather(lists, op):
        out = {}
        for pairs in lists:
            for region, amount in pairs:
                out[region] = op([out[region], amount]) if region in out else amount
        return out

    graph = {"table": table}
    for i, path in enumerate(paths):
        graph["load", i] = (load, path)
        graph["regional", i] = (regional, ("load", i), "table")
    lists = [("regional", i) for i in range(len(paths))]
    graph["totals"] = (gather, lists, sum)
    graph["largest"] = (gather, lists, max)
    return dask.compute(Delayed("totals", graph), Delayed("largest", graph))
