def pca_stream(x, k):
    if k < 1 or k > x.shape[1]:
        raise ValueError("k")
    rows = x.compute()
    mean = rows.mean(axis=0)
    return mean, np.linalg.svd(rows - mean, full_matrices=False)[2][:k]


def fit_incremental(model, X, y):
    return Incremental(model).fit(X, y, classes=da.unique(y).compute()).predict
