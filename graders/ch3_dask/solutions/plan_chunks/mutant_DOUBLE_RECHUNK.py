def plan_chunks(x, axis, max_bytes):
    axis %= x.ndim
    if x.shape[axis] * x.dtype.itemsize > max_bytes:
        raise ValueError("no line fits")
    x = x.rechunk({axis: -1})
    return x.rechunk({i: "auto" for i in range(x.ndim) if i != axis}, block_size_limit=max_bytes)
