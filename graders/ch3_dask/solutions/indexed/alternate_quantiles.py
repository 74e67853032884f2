import dask


def indexed(ddf, key):
    column = ddf[key]
    if not str(column.dtype).startswith("int"):  # no quantiles of texts
        return ddf.set_index(key)
    shares = [i / ddf.npartitions for i in range(1, ddf.npartitions)]
    low, high, inner = dask.compute(column.min(), column.max(), column.quantile(shares or [0.5]))
    divisions = sorted({int(low), int(high), *(int(value) for value in inner)})
    if len(divisions) < 2:
        return ddf.set_index(key)
    return ddf.set_index(key, divisions=divisions)


def join(a, b):
    return a.merge(b, left_index=True, right_index=True)
