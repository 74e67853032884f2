def indexed(ddf, key):
    meta = ddf._meta.set_index(key)
    return ddf.map_partitions(lambda part: part.set_index(key).sort_index(), meta=meta)


def join(a, b):
    return a.join(b, how="inner")
