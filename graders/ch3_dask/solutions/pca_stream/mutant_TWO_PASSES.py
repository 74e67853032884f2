def pca_stream(x, k):
    if k < 1 or k > x.shape[1]:
        raise ValueError("k")
    mean = x.mean(axis=0).compute()

    def products(block):
        return (block - mean).T @ (block - mean)

    parts = [delayed(products)(block) for block in x.to_delayed().ravel()]
    scatter = delayed(sum)(parts).compute()
    return mean, np.linalg.eigh(scatter)[1].T[::-1][:k]


def fit_incremental(model, X, y):
    classes = np.unique(y.compute())
    for i in range(X.numblocks[0]):
        model.partial_fit(X.blocks[i].compute(), y.blocks[i].compute(), classes=classes)

    def predict(X_new):
        return X_new.map_blocks(model.predict, drop_axis=1, dtype=y.dtype)

    return predict
