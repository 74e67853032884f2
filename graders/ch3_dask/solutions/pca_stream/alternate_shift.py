import functools


def pca_stream(x, k):
    """Sums of products, but of distances from the first row, which is near all others."""
    n, d = x.shape
    if k < 1 or k > d:
        raise ValueError("k")
    origin = x[0].compute()

    def sums(block):
        away = block - origin
        return away.sum(axis=0), away.T @ away

    def add(a, b):
        return a[0] + b[0], a[1] + b[1]

    parts = [delayed(sums)(b) for b in x.to_delayed().ravel()]
    total, products = functools.reduce(delayed(add), parts).compute()
    mean = total / n
    values, vectors = np.linalg.eigh(products / n - np.outer(mean, mean))
    order = np.argsort(values)[::-1]
    return origin + mean, vectors[:, order[:k]].T


def fit_incremental(model, X, y):
    """A copy of the model is trained; later steps are not told the classes again."""
    from dask_ml.wrappers import ParallelPostFit
    from sklearn.base import clone

    own, classes = clone(model), da.unique(y).compute().tolist()
    for rows, labels in zip(X.blocks, y.blocks, strict=True):
        rows, labels = dask.compute(rows, labels)
        own.partial_fit(rows, labels, classes)
        classes = None
    return ParallelPostFit(own).predict
