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
    rows, labels = dask.compute(X, y)
    classes = np.unique(labels)
    begin = 0
    for n in X.chunks[0]:
        model.partial_fit(rows[begin : begin + n], labels[begin : begin + n], classes=classes)
        begin += n
    return lambda X_new: X_new.map_blocks(model.predict, drop_axis=1, dtype=y.dtype)
