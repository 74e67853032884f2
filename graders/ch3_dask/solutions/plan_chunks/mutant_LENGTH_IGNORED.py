def plan_chunks(x, axis, max_bytes):
    axis %= x.ndim
    if x.shape[axis] * x.dtype.itemsize > max_bytes:
        raise ValueError("no line fits")
    side = int((max_bytes / x.dtype.itemsize) ** (1 / x.ndim))
    if side >= x.shape[axis]:
        side = max(
            1, int((max_bytes / x.dtype.itemsize / x.shape[axis]) ** (1 / max(1, x.ndim - 1)))
        )
    return x.rechunk({i: -1 if i == axis else side for i in range(x.ndim)})
