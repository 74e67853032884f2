def indexed(ddf, key):
    return ddf.set_index(key, sorted=True)


def join(a, b):
    return a.join(b, how="inner")
