def plan_chunks(x, axis, max_bytes):
    axis %= x.ndim
    if x.shape[axis] * x.dtype.itemsize > max_bytes:
        raise ValueError("no line fits")
    room = max_bytes // x.shape[axis]
    chunks = list(x.shape)
    for i in range(x.ndim):
        if i != axis:
            chunks[i] = max(1, min(room, x.shape[i]))
            room //= chunks[i]
    return x.rechunk(tuple(chunks))
