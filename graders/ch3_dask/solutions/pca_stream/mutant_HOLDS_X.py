def pca_stream(x, k):
    if k < 1 or k > x.shape[1]:
        raise ValueError("k")
    mean = x.mean(axis=0)
    centred = x - mean
    mean, scatter = dask.compute(mean, centred.T @ centred)
    return mean, np.linalg.eigh(scatter)[1].T[::-1][:k]
