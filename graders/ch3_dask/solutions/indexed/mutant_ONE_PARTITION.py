def indexed(ddf, key):
    return ddf.repartition(npartitions=1).set_index(key)


def join(a, b):
    return a.join(b.repartition(npartitions=1), how="inner")
