from dask_ml.model_selection import GridSearchCV


def grid_search(pipeline, grid, X, y):
    prepared = pipeline[:-1].fit_transform(X, y)
    name, model = pipeline.steps[-1]
    of_model = {key: values for key, values in grid.items() if key.startswith(f"{name}__")}
    return GridSearchCV(pipeline[-1:], of_model, cv=3).fit(prepared, y)
