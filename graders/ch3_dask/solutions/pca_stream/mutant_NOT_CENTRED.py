def pca_stream(x, k):
    n, d = x.shape
    if k < 1 or k > d:
        raise ValueError("k")

    def sums(block):
        return np.concatenate([block.sum(axis=0)[None], block.T @ block])

    parts = [delayed(sums)(block) for block in x.to_delayed().ravel()]
    total = delayed(sum)(parts).compute()
    return total[0] / n, np.linalg.eigh(total[1:])[1].T[::-1][:k]


def fit_incremental(model, X, y):
    classes = np.unique(y.compute())
    for i in range(X.numblocks[0]):
        model.partial_fit(X.blocks[i].compute(), y.blocks[i].compute(), classes=classes)

    def predict(X_new):
        return X_new.map_blocks(model.predict, drop_axis=1, dtype=y.dtype)

    return predict
