from scipy.linalg import qr


def pca_stream(x, k):
    """A tree of QR decompositions; the column of ones takes the mean out of all others."""
    d = x.shape[1]
    if not 1 <= k <= d:
        raise ValueError(k)

    # Near 1e8, a first guess of the mean keeps the digits that the ones would cost.
    guess = x[0].compute()

    def first(block):
        return triangle(np.column_stack([np.ones(len(block)), block - guess]))

    def triangle(rows):
        return qr(rows, mode="economic")[1]

    level = [delayed(first)(block) for block in x.to_delayed()[:, 0]]
    while len(level) > 1:
        level = [
            delayed(lambda group: triangle(np.concatenate(group)))(level[i : i + 4])
            for i in range(0, len(level), 4)
        ]
    r = level[0].compute()
    mean = guess + r[0, 1:] / r[0, 0]
    return mean, np.linalg.svd(r[1:, 1:])[2][:k]


def fit_incremental(model, X, y):
    """A chain of tasks; the model that comes out at its end is put into each block's prediction."""
    parts = [delayed(set)(labels) for labels in y.to_delayed()]
    known = sorted(set().union(*dask.compute(*parts)))

    def step(model, rows, labels):
        return model.partial_fit(rows, labels, classes=known)

    chain = delayed(model)
    for rows, labels in zip(X.to_delayed().ravel(), y.to_delayed(), strict=True):
        chain = delayed(step)(chain, rows, labels)
    trained = chain.compute()

    def predict(rows):
        blocks = [
            da.from_delayed(delayed(trained.predict)(block), (n,), dtype=y.dtype)
            for block, n in zip(rows.to_delayed().ravel(), rows.chunks[0], strict=True)
        ]
        return da.concatenate(blocks)

    return predict
