"""Pipelines that report their fits, under the searches of scikit-learn and of dask-ml."""

from __future__ import annotations

from collections import Counter
from typing import Any

import dask
import dask.array as da
import dask_ml.model_selection
import numpy as np
import pytest
import sklearn.model_selection

from shardwork.probes.dask.learning import pipeline, search_result

pytestmark = pytest.mark.functional

GRID = {"scale__setting": [1, 2], "select__setting": [1, 2, 3], "model__setting": [1, 2]}
CANDIDATES = 2 * 3 * 2


class Judge:
    """Stands for the instrument: numbers the fits, and prefers the last setting of the model."""

    def __init__(self) -> None:
        self.fits: list[tuple[Any, ...]] = []
        self.scores: list[tuple[Any, ...]] = []
        self.running: set[int] = set()

    def __call__(self, running: int, what: str, *args: Any) -> float:
        self.running.add(running)
        if what == "fit":
            self.fits.append(args)
            return len(self.fits) - 1
        self.scores.append(args)
        return float(self.fits[args[0]][1])

    def counted(self, rows: int) -> Counter[str]:
        return Counter(fit[0] for fit in self.fits if len(fit[2]) == rows)


def data() -> tuple[Any, Any]:
    X = np.zeros((30, 5))
    X[:, 0] = np.arange(30)
    return X, np.arange(30) % 2


def test_dask_ml_fits_what_candidates_share_once_for_each_fold() -> None:
    """By hand: 3 folds times the settings of a stage and of those before it, and one refit."""
    judge, (X, y) = Judge(), data()
    (steps,) = pipeline(judge, ["scale", "select"])
    search = dask_ml.model_selection.GridSearchCV(steps, GRID, cv=3)
    with dask.config.set(scheduler="sync"):
        search.fit(da.from_array(X, chunks=(10, 5)), da.from_array(y, chunks=10))
    assert judge.counted(20) == {"scale": 3 * 2, "select": 3 * 2 * 3, "model": 3 * CANDIDATES}
    assert judge.counted(30) == {"scale": 1, "select": 1, "model": 1}
    assert judge.running == {1}
    found = search_result(search)
    assert found["kind"] == "dask_ml.GridSearchCV"
    assert (found["candidates"], found["refitted"]) == (CANDIDATES, True)


def test_scikit_learn_fits_every_stage_for_each_candidate() -> None:
    judge, (X, y) = Judge(), data()
    (steps,) = pipeline(judge, ["scale", "select"])
    search = sklearn.model_selection.GridSearchCV(steps, GRID, cv=3).fit(X, y)
    assert judge.running == {0}
    every = 3 * CANDIDATES
    assert judge.counted(20) == {"scale": every, "select": every, "model": every}
    assert search_result(search)["kind"] == "sklearn.GridSearchCV"


def test_rows_and_earlier_fits_are_told() -> None:
    judge, (X, y) = Judge(), data()
    (steps,) = pipeline(judge, ["scale", "select"])
    model: Any = steps
    model.fit(X[:10], y[:10])
    rows = list(range(10))
    assert judge.fits == [
        ("scale", 0, rows, [[]]), ("select", 0, rows, [[0]]), ("model", 0, rows, [[0, 1]])
    ]  # fmt: skip
    model.score(X[10:12], y[10:12])
    assert judge.scores == [(2, [10, 11], [[0, 1]])]


def test_another_object_is_described_by_its_type() -> None:
    (steps,) = pipeline(Judge(), [])
    assert search_result(steps) == {
        "type": "Pipeline", "kind": None, "candidates": 0, "best_params": {}, "refitted": False
    }  # fmt: skip
