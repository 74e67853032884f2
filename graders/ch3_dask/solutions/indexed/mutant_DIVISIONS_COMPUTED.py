def indexed(ddf, key):
    if str(ddf[key].dtype) == "string":
        return ddf.set_index(key)
    low, high = int(ddf[key].min().compute()), int(ddf[key].max().compute())
    n = ddf.npartitions
    divisions = sorted({low, high, *(low + (high - low) * i // n for i in range(1, n))})
    return ddf.set_index(key, divisions=divisions) if len(divisions) > 1 else ddf.set_index(key)


def join(a, b):
    return a.join(b, how="inner")
