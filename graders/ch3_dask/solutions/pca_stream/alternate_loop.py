def pca_stream(x, k):
    """One block after the other, without a graph over all of them."""
    d = x.shape[1]
    if not 1 <= k <= d:
        raise ValueError(k)
    n, mean, scatter = 0, np.zeros(d), np.zeros((d, d))
    for i in range(x.numblocks[0]):
        block = x.blocks[i].compute()
        own = block.mean(axis=0)
        delta, total = own - mean, n + len(block)
        scatter += (block - own).T @ (block - own)
        scatter += np.outer(delta, delta) * n * len(block) / total
        mean = mean + delta * len(block) / total
        n = total
    return mean, np.linalg.eigh(scatter)[1][:, ::-1][:, :k].T


def fit_incremental(model, X, y):
    classes = np.unique(y.compute())
    for i in range(X.numblocks[0]):
        model.partial_fit(X.blocks[i].compute(), y.blocks[i].compute(), classes=classes)

    def predict(X_new):
        return X_new.map_blocks(model.predict, drop_axis=1, dtype=y.dtype)

    return predict
