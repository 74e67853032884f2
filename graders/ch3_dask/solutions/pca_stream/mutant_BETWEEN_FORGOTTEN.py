def pca_stream(x, k):
    n, d = x.shape
    if k < 1 or k > d:
        raise ValueError("k")

    def summary(block):
        mean = block.mean(axis=0)
        return len(block) * mean, (block - mean).T @ (block - mean)

    parts = dask.compute(*[delayed(summary)(block) for block in x.to_delayed().ravel()])
    mean = sum(part[0] for part in parts) / n
    scatter = sum(part[1] for part in parts)
    return mean, np.linalg.eigh(scatter)[1].T[::-1][:k]


def fit_incremental(model, X, y):
    classes = np.unique(y.compute())
    for i in range(X.numblocks[0]):
        model.partial_fit(X.blocks[i].compute(), y.blocks[i].compute(), classes=classes)

    def predict(X_new):
        return X_new.map_blocks(model.predict, drop_axis=1, dtype=y.dtype)

    return predict
