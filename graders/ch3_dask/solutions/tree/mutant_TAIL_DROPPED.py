from dask import delayed


def tree(parts, op, fan_in):
    if len(parts) == 0:
        raise ValueError("no parts")
    if fan_in < 2:
        raise ValueError("fan_in must be at least 2")
    level = list(parts)
    while len(level) > fan_in:
        n_groups = len(level) // fan_in
        level = [delayed(op)(level[g * fan_in : (g + 1) * fan_in]) for g in range(n_groups)]
    return delayed(op)(level) if len(level) > 1 else level[0]
