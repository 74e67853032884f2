import dask


def indexed(ddf, key):
    column = ddf[key]
    if not str(column.dtype).startswith("int"):
        return ddf.set_index(key)
    low, high = (int(end) for end in dask.compute(column.min(), column.max()))
    n = ddf.npartitions
    if high - low < n:
        return ddf.set_index(key)
    inner = [low + (high - low) * i // n for i in range(1, n)]
    return ddf.set_index(key, divisions=[low, *inner, high])


def join(a, b):
    b = b.rename_axis(index=a.index.name)
    return a.merge(b, on=a.index.name, how="inner") if a.index.name else a.join(b, how="inner")
