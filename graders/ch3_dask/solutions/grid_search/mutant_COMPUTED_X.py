from dask_ml.model_selection import GridSearchCV


def grid_search(pipeline, grid, X, y):
    X, y = X.compute(), y.compute()
    return GridSearchCV(pipeline, grid, cv=3).fit(X, y)
