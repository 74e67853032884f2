"""Estimators that report what they are fitted to, and what a search over a pipeline has found.

They learn nothing. They tell an instrument on which rows they are fitted, scored and asked, and it
decides scores and predictions, so that the judge knows what was done, whatever comes back.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline

from shardwork.probes.dask import watching
from shardwork.probes.dask.portable import Portable
from shardwork.probes.server import question

Rows = np.ndarray[Any, Any]


@question("dask.learning.pipeline")
def pipeline(record: Any, stages: list[str]) -> list[object]:
    """Return `Pipeline([(stages[0], Stage), ..., ("model", Model)])`; see `Stage` for the data."""
    watching.running()  # counts from here on, also the first computation

    def tell(*args: object) -> object:
        return record(watching.running(), *args)

    told = Portable(tell, "record")
    steps: list[tuple[str, object]] = [
        (name, Stage(told, name, place)) for place, name in enumerate(stages, 1)
    ]
    return [Pipeline([*steps, ("model", Model(told, len(stages)))])]


@question("dask.learning.learner")
def learner(record: Any) -> list[object]:
    """Return a `Learner`, not fitted."""
    return [Learner(Portable(record, "record"))]


@question("dask.learning.search_result")
def search_result(search: Any) -> dict[str, object]:
    """Describe a search after its fit, whether it is dask-ml's or scikit-learn's."""
    names = {f"{c.__module__.partition('.')[0]}.{c.__qualname__}" for c in type(search).__mro__}
    wanted = {"dask_ml.GridSearchCV", "sklearn.GridSearchCV"}
    results = getattr(search, "cv_results_", None)
    best = getattr(search, "best_estimator_", None)
    return {
        "type": type(search).__name__,
        "kind": next(iter(sorted(names & wanted)), None),
        "candidates": len(results["params"]) if isinstance(results, dict) else 0,
        "best_params": dict(getattr(search, "best_params_", {})),
        "refitted": best is not None and getattr(best[-1], "fit_", None) is not None,
    }


class Stage(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # sklearn has no types
    """A transformer with one `setting`, which stamps the data with the number of its fit.

    Column 0 of X holds the number of the row, column `place` the stamp of the stage `place`.
    """

    def __init__(self, record: Any = None, name: str = "", place: int = 0, setting: int = 0):
        self.record = record
        self.name = name
        self.place = place
        self.setting = setting

    def fit(self, X: Any, y: Any = None) -> Stage:
        self.fit_ = self.record("fit", self.name, self.setting, *_seen(X, self.place))
        return self

    def transform(self, X: Any) -> Rows:
        stamped = np.array(X)
        stamped[:, self.place] = self.fit_
        return stamped


class Model(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # sklearn has no types
    """A classifier with one `setting`; the instrument says how good it is."""

    def __init__(self, record: Any = None, stages: int = 0, setting: int = 0):
        self.record = record
        self.stages = stages
        self.setting = setting

    def fit(self, X: Any, y: Any) -> Model:
        self.classes_ = np.unique(y)
        self.fit_ = self.record("fit", "model", self.setting, *_seen(X, self.stages + 1))
        return self

    def predict(self, X: Any) -> Rows:
        return np.full(len(X), self.classes_[0])

    def score(self, X: Any, y: Any) -> float:
        return float(self.record("score", self.fit_, *_seen(X, self.stages + 1)))


class Learner(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # sklearn has no types
    """A classifier that is trained step by step; the instrument says what it predicts.

    Column 0 of X holds the number of the row. A copy knows the steps that the original was trained
    by when it was copied. Where scikit-learn's classifiers refuse, it refuses, too; except that it
    takes labels that were not among the classes.
    """

    def __init__(self, record: Any = None):
        self.record = record

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Learner:
        """Learn from some more rows; the first call must be told all `classes`."""
        before = getattr(self, "steps_", ())
        if classes is None and not before:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        told = None if classes is None else [int(one) for one in np.unique(np.asarray(classes))]
        self.steps_ = (*before, self._tell("partial_fit", X, y, told, before))
        if not before:
            self.classes_, self.n_features_in_ = np.array(told), np.shape(X)[1]
        return self

    def fit(self, X: Any, y: Any) -> Learner:
        """Forget everything, and learn from these rows."""
        self.classes_ = np.unique(np.asarray(y))
        self.steps_ = (self._tell("fit", X, y, [int(one) for one in self.classes_], ()),)
        self.n_features_in_ = np.shape(X)[1]
        return self

    def predict(self, X: Any) -> Rows:
        """Return the label of each row, as the instrument says it."""
        if not hasattr(self, "steps_"):
            raise NotFittedError("This Learner instance is not fitted yet.")
        rows = _numbers(X)
        if np.shape(X)[1] != self.n_features_in_:
            raise ValueError(f"X has not the {self.n_features_in_} features that are expected.")
        return np.array(self.record("predict", rows, [], None, list(self.steps_)), dtype=np.int64)

    def _tell(self, what: str, X: Any, y: Any, classes: list[int] | None, before: Any) -> object:
        rows, labels = _numbers(X), [int(label) for label in np.asarray(y).ravel()]
        if len(rows) != len(labels):
            raise ValueError("Found input variables with inconsistent numbers of samples.")
        return self.record(what, rows, labels, classes, list(before))[0]


def _numbers(X: Any) -> list[int]:
    """Return the numbers of the rows. Raises ValueError where scikit-learn does."""
    rows = np.asarray(X)
    if rows.ndim != 2 or 0 in rows.shape:
        raise ValueError(f"Expected 2D array with rows, got an array of shape {rows.shape}.")
    return [int(row) for row in rows[:, 0]]


def _seen(X: Any, stamps: int) -> tuple[list[int], list[list[int]]]:
    """Return the numbers of the rows, and the different combinations of the stamps before."""
    rows = np.asarray(X)
    return [int(row) for row in rows[:, 0]], np.unique(rows[:, 1:stamps], axis=0).tolist()
