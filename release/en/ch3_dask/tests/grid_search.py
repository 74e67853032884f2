import dask.array as da
import numpy as np
from otter.test_files import test_case
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.pipeline import Pipeline

OK_FORMAT = False
name = "grid_search"
points = None

FITS = []


class Shift(TransformerMixin, BaseEstimator):
    """Adds a number to all values."""

    def __init__(self, setting=0.0):
        self.setting = setting

    def fit(self, X, y=None):
        FITS.append(("shift", len(X)))
        self.fitted_ = True
        return self

    def transform(self, X):
        return np.asarray(X) + self.setting


class Sign(ClassifierMixin, BaseEstimator):
    """Says 1 for what is above a limit."""

    def __init__(self, setting=0.0):
        self.setting = setting

    def fit(self, X, y):
        FITS.append(("sign", len(X)))
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return (np.asarray(X)[:, 0] > self.setting).astype(int)


class Trial:
    """One search over 2 x 3 candidates; notes the fits."""

    def __init__(self, grid_search):
        values = np.linspace(-1.0, 1.0, 24)
        X = da.from_array(values[:, None], chunks=(8, 1))
        y = da.from_array((values > 0.5).astype(int), chunks=8)
        pipeline = Pipeline([("shift", Shift()), ("sign", Sign())])
        grid = {"shift__setting": [0.0, 1.0], "sign__setting": [-0.5, 0.1, 1.5]}
        FITS.clear()
        self.found = grid_search(pipeline, grid, X, y)
        self.fits = list(FITS)
        kind = type(self.found).__name__
        assert kind == "GridSearchCV", f"grid_search returned a {kind}."


@test_case(
    name="candidates",
    success_message="All six candidates are tried, and the best one is found.",
    failure_message="There are six candidates; the best adds 1.0 and has the limit 1.5.",
)
def test_candidates(grid_search):
    found = Trial(grid_search).found
    tried = len(found.cv_results_["params"])
    assert tried == 6, f"{tried} candidates were tried."
    best = found.best_params_
    assert best == {"shift__setting": 1.0, "sign__setting": 1.5}, f"best_params_ is {best}."


@test_case(
    name="fits",
    success_message="The first stage is fitted no more often than necessary.",
    failure_message="With two settings and three folds, the first stage needs six fits on folds.",
)
def test_fits(grid_search):
    fits = Trial(grid_search).fits
    shifts = sum(stage == "shift" and rows < 24 for stage, rows in fits)
    assert shifts <= 6, f"The first stage was fitted {shifts} times on folds."


@test_case(
    name="refit",
    success_message="The best candidate is fitted to all rows once.",
    failure_message="After the search, the best candidate should be fitted to all 24 rows once.",
)
def test_refit(grid_search):
    fits = Trial(grid_search).fits
    refits = fits.count(("sign", 24))
    assert refits == 1, f"The classifier was fitted to all rows {refits} times."
