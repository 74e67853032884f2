def pca_stream(x, k):
    d = x.shape[1]
    if k < 1 or k > d:
        raise ValueError("k out of range")

    def summary(block):
        """One row for each block: number of rows, means, products."""
        if len(block) == 0:
            return np.zeros((0, 1 + d + d * d))
        mean = block.mean(axis=0)
        away = block - mean
        return np.concatenate([[len(block)], mean, (away.T @ away).ravel()])[None]

    chunks = ((1,) * x.numblocks[0], (1 + d + d * d,))
    rows = x.map_blocks(summary, chunks=chunks, dtype=float, meta=np.empty((0, 0))).compute()
    n, means, products = rows[:, 0], rows[:, 1 : d + 1], rows[:, d + 1 :]
    mean = np.average(means, axis=0, weights=n)
    between = (means - mean).T @ ((means - mean) * n[:, None])
    scatter = products.sum(axis=0).reshape(d, d) + between
    _, _, comps = np.linalg.svd(scatter, hermitian=True)
    return mean, comps[:k]


def fit_incremental(model, X, y):
    """Incremental of dask-ml, which goes through the blocks in random order."""
    from dask_ml.wrappers import Incremental as ByBlocks

    fitted = ByBlocks(model).fit(X, y, classes=da.unique(y).compute())
    return lambda X_new: fitted.predict(X_new)
