def pca_stream(x, k):
    n, d = x.shape
    if k < 1 or k > d:
        raise ValueError("k")

    def sums(block):
        return np.concatenate([block.sum(axis=0)[None], block.T @ block])

    parts = [delayed(sums)(block) for block in x.to_delayed().ravel()]
    total = delayed(sum)(parts).compute()
    mean = total[0] / n
    covariance = total[1:] / n - np.outer(mean, mean)
    return mean, np.linalg.eigh(covariance)[1].T[::-1][:k]


def fit_incremental(model, X, y):
    return Incremental(model).fit(X, y, classes=da.unique(y).compute()).predict
