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
    classes = da.unique(y).compute()

    def train(model, rows, labels):
        return model.partial_fit(rows, labels, classes=classes)

    trained = delayed(model)
    for rows, labels in zip(X.to_delayed().ravel(), y.to_delayed(), strict=True):
        trained = delayed(train)(trained, rows, labels)

    def predict(X_new):
        blocks = [trained.predict(block) for block in X_new.to_delayed().ravel()]
        return da.concatenate(
            [
                da.from_delayed(block, (n,), dtype=y.dtype)
                for block, n in zip(blocks, X_new.chunks[0], strict=True)
            ]
        )

    return predict
