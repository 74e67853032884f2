def plan_chunks(x, axis, max_bytes):
    # fill one axis after the other, the last one first
    if axis < 0:
        axis += x.ndim
    room = max_bytes // (x.dtype.itemsize * x.shape[axis])
    if room == 0:
        raise ValueError("no line fits")
    chunks = list(x.shape)
    for i in reversed(range(x.ndim)):
        if i != axis:
            chunks[i] = max(1, min(room, x.shape[i]))
            room //= chunks[i]
    return x.rechunk(tuple(chunks))
