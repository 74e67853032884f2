def plan_chunks(x, axis, max_bytes):
    axis %= x.ndim
    if x.shape[axis] * x.dtype.itemsize > max_bytes:
        raise ValueError("no line fits")
    if x.nbytes <= max_bytes:
        return x.rechunk(-1)
    return x.rechunk({i: -1 if i == axis else 1 for i in range(x.ndim)})
