def plan_chunks(x, axis, max_bytes):
    axis = axis % x.ndim
    lines = max_bytes // (x.shape[axis] * x.dtype.itemsize)
    if lines < 1:
        raise ValueError("not even one line fits")
    if x.ndim == 1:
        return x.rechunk(-1)
    side = int(lines ** (1 / (x.ndim - 1)))
    return x.rechunk(
        {i: -1 if i == axis else side for i in range(x.ndim)}, block_size_limit=max_bytes
    )
