def plan_chunks(x, axis, max_bytes):
    axis = axis % x.ndim
    if x.shape[axis] * x.dtype.itemsize > max_bytes:
        raise ValueError("a single line is too heavy")
    lengths = {i: -1 if i == axis else "auto" for i in range(x.ndim)}
    return x.rechunk(lengths, block_size_limit=max_bytes)
