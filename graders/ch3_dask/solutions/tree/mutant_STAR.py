from dask import delayed


def tree(parts, op, fan_in):
    if len(parts) == 0:
        raise ValueError("no parts")
    if fan_in < 2:
        raise ValueError("fan_in must be at least 2")
    if len(parts) == 1:
        return parts[0]
    return delayed(op)(parts)
