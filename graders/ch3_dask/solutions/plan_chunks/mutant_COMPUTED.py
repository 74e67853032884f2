import dask.array as da


def plan_chunks(x, axis, max_bytes):
    axis %= x.ndim
    lines = max_bytes // (x.shape[axis] * x.dtype.itemsize)
    if lines < 1:
        raise ValueError("no line fits")
    chunks = list(x.shape)
    for i in range(x.ndim):
        if i != axis:
            chunks[i] = max(1, min(lines, x.shape[i]))
            lines //= chunks[i]
    return da.from_array(x.compute(), chunks=tuple(chunks))
