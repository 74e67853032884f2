from sklearn.model_selection import GridSearchCV


def grid_search(pipeline, grid, X, y):
    return GridSearchCV(pipeline, grid, cv=3).fit(X, y)
