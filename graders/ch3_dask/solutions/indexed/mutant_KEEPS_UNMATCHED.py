def indexed(ddf, key):
    return ddf.set_index(key)


def join(a, b):
    return a.join(b)
