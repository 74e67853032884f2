import dask


def plan_chunks(x, axis, max_bytes):
    if x.shape[axis] * x.itemsize > max_bytes:
        raise ValueError(f"axis {axis} of {x.shape} does not fit into {max_bytes} bytes")
    chunks = ["auto"] * x.ndim
    chunks[axis] = -1
    with dask.config.set({"array.chunk-size": max_bytes}):
        return x.rechunk(tuple(chunks))
