import dask.dataframe as dd


def indexed(ddf, key):
    result = ddf.set_index(key, npartitions=ddf.npartitions)
    if ddf.npartitions > 1 and not result.known_divisions:
        raise RuntimeError("no divisions")
    return result


def join(a, b):
    return dd.merge(b, a, left_index=True, right_index=True, how="inner")[[*a.columns, *b.columns]]
