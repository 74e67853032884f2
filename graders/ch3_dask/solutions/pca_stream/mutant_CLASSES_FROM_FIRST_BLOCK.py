def pca_stream(x, k):
    n, d = x.shape
    if not 1 <= k <= d:
        raise ValueError(k)
    origin = x[0].compute()

    def sums(block):
        away = block - origin
        return np.vstack([away.sum(axis=0), away.T @ away])

    parts = [delayed(sums)(block) for block in x.to_delayed().ravel()]
    total = delayed(sum)(parts).compute()
    mean, products = total[0] / n, total[1:] / n
    vectors = np.linalg.eigh(products - np.outer(mean, mean))[1]
    return origin + mean, vectors.T[::-1][:k]


def fit_incremental(model, X, y):
    classes = None
    for rows, labels in zip(X.to_delayed().ravel(), y.to_delayed(), strict=True):
        rows, labels = dask.compute(rows, labels)
        if classes is None:
            classes = np.unique(labels)
        model.partial_fit(rows, labels, classes=classes)
    return lambda X_new: X_new.map_blocks(model.predict, drop_axis=1, dtype=y.dtype)
