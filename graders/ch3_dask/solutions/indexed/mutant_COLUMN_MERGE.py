def indexed(ddf, key):
    return ddf.set_index(key)


def join(a, b):
    left, right = a.reset_index(), b.reset_index()
    return left.merge(right, on="key", how="inner").set_index("key")
