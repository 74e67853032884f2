def key_stats(rdd, n):
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}")

    def start(value):
        return (1, value, value)

    def take_in(partial, value):
        count, total, largest = partial
        return (count + 1, total + value, max(largest, value))

    def merge(a, b):
        return (a[0] + b[0], a[1] + b[1], max(a[2], b[2]))

    return rdd.combineByKey(start, take_in, merge, n)
