from dask import delayed


def tree(parts, op, fan_in):
    # divide and conquer: cut the parts into at most fan_in runs of nearly equal length
    n = len(parts)
    if n == 0:
        raise ValueError("no parts")
    if fan_in < 2:
        raise ValueError("fan_in is too small")
    if n == 1:
        return parts[0]
    k = min(fan_in, n)
    cuts = [n * i // k for i in range(k + 1)]
    subtrees = [tree(parts[a:b], op, fan_in) for a, b in zip(cuts, cuts[1:])]
    return delayed(op)(subtrees)
