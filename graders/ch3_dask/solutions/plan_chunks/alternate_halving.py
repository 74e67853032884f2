from math import prod


def plan_chunks(x, axis, max_bytes):
    # begin with a single block and halve the longest of the other axes until it fits
    axis %= x.ndim
    if x.shape[axis] * x.dtype.itemsize > max_bytes:
        raise ValueError("too heavy")
    shape = list(x.shape)
    while prod(shape) * x.dtype.itemsize > max_bytes:
        longest = max((i for i in range(x.ndim) if i != axis), key=lambda i: shape[i])
        shape[longest] = (shape[longest] + 1) // 2
    return x.rechunk(shape)
