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
        assert kind == "GridSearchCV", f'grid_searchが返したのは{kind}でした。'


@test_case(
    name="candidates",
    success_message="6個の候補がすべて試され、最もよいものが見つかっています。",
    failure_message="候補は6個です。最もよいのは、1.0を加え、しきい値を1.5とするものです。",
)
def test_candidates(grid_search):
    found = Trial(grid_search).found
    tried = len(found.cv_results_["params"])
    assert tried == 6, f'試された候補は{tried}個でした。'
    best = found.best_params_
    assert best == {"shift__setting": 1.0, "sign__setting": 1.5}, f'best_params_は{best}です。'


@test_case(
    name="fits",
    success_message="最初の段の学習は、必要な回数以内です。",
    failure_message="設定が2通りで3分割なら、分割に対する最初の段の学習は6回で足ります。",
)
def test_fits(grid_search):
    fits = Trial(grid_search).fits
    shifts = sum(stage == "shift" and rows < 24 for stage, rows in fits)
    assert shifts <= 6, f'最初の段は、分割に対して{shifts}回学習されました。'


@test_case(
    name="refit",
    success_message="最もよい候補が、全部の行で1回学習されています。",
    failure_message="探索の後、最もよい候補は、24行すべてで1回学習されるはずです。",
)
def test_refit(grid_search):
    fits = Trial(grid_search).fits
    refits = fits.count(("sign", 24))
    assert refits == 1, f'分類器は、全部の行で{refits}回学習されました。'
