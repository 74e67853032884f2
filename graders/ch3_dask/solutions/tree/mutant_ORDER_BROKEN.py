from dask import delayed


def tree(parts, op, fan_in):
    if len(parts) == 0:
        raise ValueError("no parts")
    if fan_in < 2:
        raise ValueError("fan_in must be at least 2")
    level = list(parts)
    while len(level) > 1:
        # deal the values like cards into groups of nearly equal size
        n_groups = -(-len(level) // fan_in)
        groups = [level[g::n_groups] for g in range(n_groups)]
        level = [delayed(op)(group) if len(group) > 1 else group[0] for group in groups]
    return level[0]
