def indexed(ddf, key):
    in_order = ddf.sort_values(key)
    return in_order.set_index(key)


def join(a, b):
    return a.join(b, how="inner")
