def indexed(ddf, key):
    result = ddf.set_index(key)
    return result.repartition(npartitions=4) if result.npartitions > 4 else result


def join(a, b):
    return a.join(b).dropna(subset=list(b.columns))
