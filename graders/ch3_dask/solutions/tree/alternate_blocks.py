import dask


def tree(parts, op, fan_in):
    if fan_in < 2:
        raise ValueError(f"fan_in={fan_in}, but a call needs two values")
    if len(parts) < 1:
        raise ValueError("got no parts")

    # the largest full tree that leaves something to do at the top
    block = 1
    while block * fan_in < len(parts):
        block *= fan_in

    def build(lo, hi, size):
        if hi - lo == 1:
            return parts[lo]
        if hi - lo <= size:
            return build(lo, hi, size // fan_in)
        children = []
        for start in range(lo, hi, size):
            children.append(build(start, min(start + size, hi), max(1, size // fan_in)))
        return dask.delayed(op, traverse=False)(children)

    return build(0, len(parts), block)
