from dask import delayed


def tree(parts, op, fan_in):
    if len(parts) == 0:
        raise ValueError("no parts")
    if fan_in < 2:
        raise ValueError("fan_in must be at least 2")
    level = list(parts)
    while len(level) > 1:
        level = [delayed(op)(level[i : i + fan_in]) for i in range(0, len(level), fan_in)]
    return level[0]
