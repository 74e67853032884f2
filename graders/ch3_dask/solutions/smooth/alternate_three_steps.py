import dask.array as da
import numpy as np
from scipy.ndimage import convolve


def smooth(x, depth, boundary):
    if depth == 0:
        return x
    around = {0: depth, 1: depth}
    weights = np.full((2 * depth + 1, 2 * depth + 1), 1 / (2 * depth + 1) ** 2)
    larger = da.overlap.overlap(x, depth=around, boundary=boundary)
    means = larger.map_blocks(convolve, weights, mode="constant", dtype=x.dtype)
    return da.overlap.trim_internal(means, around, boundary=boundary).rechunk(x.chunks)
