"""Estimators that report what they are fitted to, in the hands of scikit-learn and of dask-ml."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import dask
import dask.array as da
import dask_ml.model_selection
import numpy as np
import pytest
import sklearn.model_selection
from dask_ml.wrappers import Incremental
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.naive_bayes import GaussianNB

from shardwork.probes.dask.learning import learner, pipeline, search_result

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


class Teacher:
    """Stands for the instrument of a learner: numbers the steps, and predicts row modulo 3."""

    def __init__(self) -> None:
        self.steps: list[tuple[Any, ...]] = []
        self.asked: list[tuple[list[int], list[int]]] = []

    def __call__(self, what: str, rows: list[int], *args: Any) -> list[int]:
        if what == "predict":
            self.asked.append((rows, args[-1]))
            return [row % 3 for row in rows]
        self.steps.append((what, rows, *args))
        return [len(self.steps) - 1]


def blocks_of_rows() -> tuple[Any, Any]:
    """Four blocks of six rows; the labels rise, so no block holds all of them."""
    X = np.arange(24.0)[:, None] + np.array([0.0, 0.5])
    return da.from_array(X, chunks=(6, 2)), da.from_array(np.repeat([4, 7, 9], 8), chunks=6)


def test_dask_ml_trains_a_copy_on_each_block_once_and_predicts_lazily() -> None:
    teacher, (X, y) = Teacher(), blocks_of_rows()
    (given,) = learner(teacher)
    fitted = Incremental(given).fit(X, y, classes=[9, 4, 7])
    rows = sorted(row for step in teacher.steps for row in step[1])
    assert rows == list(range(24))
    for number, (what, some, labels, classes, before) in enumerate(teacher.steps):
        assert (what, classes, before) == ("partial_fit", [4, 7, 9], list(range(number)))
        assert labels == [[4, 7, 9][row // 8] for row in some]
    assert not hasattr(given, "steps_")
    # dask-ml tries the model with one row of zeros, to know the type of the predictions.
    predictions = fitted.predict(X)
    assert teacher.asked == [([0], [0, 1, 2, 3])]
    assert predictions.chunks == ((6, 6, 6, 6),)
    assert predictions.compute().tolist() == [row % 3 for row in range(24)]
    assert {tuple(steps) for _, steps in teacher.asked} == {(0, 1, 2, 3)}


def test_a_copy_knows_the_steps_up_to_then_and_a_clone_none() -> None:
    teacher = Teacher()
    (given,) = learner(teacher)
    model: Any = given
    model.partial_fit(np.zeros((1, 2)), [4], classes=[4, 7])
    copied = copy.deepcopy(model)
    model.partial_fit(np.ones((1, 2)), [7])
    assert teacher.steps[1] == ("partial_fit", [1], [7], None, [0])
    for one in (model, copied):
        one.predict(np.zeros((1, 2)))
    assert [steps for _, steps in teacher.asked] == [[0, 1], [0]]
    with pytest.raises(NotFittedError):
        clone(model).predict(np.zeros((1, 2)))
    model.fit(np.zeros((1, 2)), [9])
    assert teacher.steps[2] == ("fit", [0], [9], [9], [])


@pytest.mark.parametrize("kind", [GaussianNB, lambda: learner(Teacher())[0]])
def test_it_refuses_what_scikit_learn_refuses(kind: Any) -> None:
    rows = np.arange(8.0).reshape(4, 2)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        kind().partial_fit(rows, [0, 1, 0, 1])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        kind().partial_fit(rows, [0, 1], classes=[0, 1])
    fitted = kind().partial_fit(rows, [0, 1, 0, 1], classes=[0, 1])
    for empty in (np.zeros((0, 0)), np.zeros(4)):
        with pytest.raises(ValueError, match=r"2D array|0 sample"):
            fitted.predict(empty)
    # So map_blocks must be told the type: it tries the function on tiny arrays of its own.
    X, _ = blocks_of_rows()
    with pytest.raises(ValueError, match="dtype"):
        X.map_blocks(fitted.predict, drop_axis=1)
