from scipy.ndimage import uniform_filter


def smooth(x, depth, boundary):
    return x.map_overlap(
        uniform_filter, depth=depth, boundary=boundary, size=2 * depth + 1, dtype=x.dtype
    )
