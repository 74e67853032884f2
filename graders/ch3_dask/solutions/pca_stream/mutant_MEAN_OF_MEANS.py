def pca_stream(x, k):
    if k < 1 or k > x.shape[1]:
        raise ValueError("k")

    def summary(block):
        mean = block.mean(axis=0)
        return mean, (block - mean).T @ (block - mean), len(block)

    parts = dask.compute(*[delayed(summary)(block) for block in x.to_delayed().ravel()])
    mean = np.mean([part[0] for part in parts], axis=0)
    scatter = sum(p[1] + p[2] * np.outer(p[0] - mean, p[0] - mean) for p in parts)
    return mean, np.linalg.eigh(scatter)[1].T[::-1][:k]


def fit_incremental(model, X, y):
    return Incremental(model).fit(X, y, classes=da.unique(y).compute()).predict
