from dask import delayed


def tree(parts, op, fan_in):
    if len(parts) == 0:
        raise ValueError("no parts")
    if fan_in < 2:
        raise ValueError("fan_in must be at least 2")
    total = parts[0]
    for part in parts[1:]:
        total = delayed(op)([total, part])
    return total
