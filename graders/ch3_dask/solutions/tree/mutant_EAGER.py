import dask
from dask import delayed


def tree(parts, op, fan_in):
    if len(parts) == 0:
        raise ValueError("no parts")
    if fan_in < 2:
        raise ValueError("fan_in must be at least 2")
    if len(parts) == 1:
        return parts[0]
    level = list(dask.compute(*parts))
    while len(level) > 1:
        above = []
        for i in range(0, len(level), fan_in):
            group = level[i : i + fan_in]
            above.append(op(group) if len(group) > 1 else group[0])
        level = above
    return delayed(level[0])
