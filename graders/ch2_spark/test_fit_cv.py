"""2.9 `fit_cv`: what is learned from rows that a model is judged on, its numbers give away.

All expected values come from ridge regressions in NumPy (MLlib's own penalty is `reg` divided by
the standard deviation of the label). Folds and test rows differ in the scale of `km`, in how often
a district occurs and in a shift of `minutes`, so that every known leak changes the numbers by more
than `APART`; inputs on which it does not are drawn again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shardwork.grading import (
    FittedModel,
    GraderFault,
    StudentFault,
    blame,
    close,
    once_per_seed,
    same,
)

Floats = NDArray[np.float64]
Table = dict[float, float]

NEAR = 2e-3
"""Relative. MLlib and the oracles differ by less than 1e-9; a standard deviation that divides by n
and not by n - 1 changes the numbers by up to 1e-3, and passes."""
APART = 0.02
"""Relative: at least so far are the oracles of the mistakes from the right numbers."""

DISTRICTS = ["harbour", "altstadt", "東京駅", "são bento", "hill"]
FEATURES = {"district": "string", "km": "double", "kg": "double"}
SCHEMA = ", ".join(
    " ".join(one) for one in (FEATURES | {"minutes": "double", "fold": "int"}).items()
)
NULL = "null"
"""Stands for a district that is null, in the arrays of this module."""
UNSEEN = ["nowhere", "駅前", NULL]
NEW_SCHEMA = ", ".join(" ".join(one) for one in ({"trip": "bigint"} | FEATURES).items())


class Trips(NamedTuple):
    """Columns of equal length; `fold` is -1 for the rows of the test set."""

    district: NDArray[np.str_]
    km: Floats
    kg: Floats
    minutes: Floats
    fold: NDArray[np.int64]

    def of(self, rows: NDArray[np.bool_]) -> Trips:
        return Trips(*(column[rows] for column in self))

    @property
    def train(self) -> Trips:
        return self.of(self.fold >= 0)

    def rows(self) -> list[tuple[str, float, float, float, int | None]]:
        *values, folds = (column.tolist() for column in self)
        known = [fold if fold >= 0 else None for fold in folds]
        return list(zip(*values, known, strict=True))


class Case(NamedTuple):
    trips: Trips
    new: Trips
    """Trips to predict; only district, km and kg are shown to the model."""
    grid: list[float]
    folds: int
    tables: dict[str, list[Table]]
    """By code, "" for the right ones: mean RMSE by regularisation, one for each way to code it."""
    ignoring_folds: dict[float, tuple[float, float]]
    predictions: dict[str, list[Floats]]
    """By code, "" for the right ones: minutes of the new trips."""


# --- Spark's pipeline, in NumPy


class Coding(NamedTuple):
    """How features are made. `least` leaves the rarest district out, as `dropLast` does."""

    least: bool = False
    number: bool = False
    rescale: str = ""
    """"" for the two measures only, "ml" as LinearRegression does it, "vector" all columns."""


RIGHT = (Coding(), Coding(least=True))
TWICE = tuple(Coding(least, False, how) for least in (False, True) for how in ("ml", "vector"))
ORDINAL = tuple(Coding(number=True, rescale=how) for how in ("", "ml", "vector"))


def by_frequency(districts: Iterable[str]) -> list[str]:
    names, counts = np.unique(list(districts), return_counts=True)
    return [str(names[i]) for i in np.lexsort((names, -counts))]


def features(trips: Trips, learned_from: Trips, coding: Coding, index: list[str]) -> Floats:
    measures = np.column_stack([trips.km, trips.kg])
    spread = np.column_stack([learned_from.km, learned_from.kg]).std(axis=0, ddof=1)
    place = {name: i for i, name in enumerate(index)}
    numbers = np.array([place.get(name, len(index)) for name in trips.district])
    if coding.number:
        return np.column_stack([measures / spread, numbers])
    columns = np.arange(len(index) - coding.least)
    return np.column_stack([measures / spread, numbers[:, None] == columns]).astype(float)


def ridge(x: Floats, y: Floats, reg: float) -> tuple[Floats, float]:
    centre, middle = x.mean(axis=0), y.mean()
    square = (x - centre).T @ (x - centre) / len(y) + reg / y.std() * np.eye(x.shape[1])
    weights = np.linalg.solve(square, (x - centre).T @ (y - middle) / len(y))
    return weights, middle - centre @ weights


def predict(
    train: Trips, learned_from: Trips, judged: Trips, reg: float, coding: Coding,
    judged_learns: str = "",
) -> Floats:  # fmt: skip
    """Train on `train` with statistics of `learned_from`, and predict `judged`.

    `judged_learns` is what the judged rows were wrongly prepared with of their own: the "index" of
    the districts, or "all".
    """
    index = by_frequency(learned_from.district)
    x = features(train, learned_from, coding, index)
    own = by_frequency(judged.district) if judged_learns else index
    at = features(judged, judged if judged_learns == "all" else learned_from, coding, own)
    at = at[:, : x.shape[1]]
    if coding.rescale:
        spread = x.std(axis=0, ddof=0 if coding.rescale == "ml" else 1)
        spread[spread == 0] = 1.0
        x, at = x / spread, at / spread
    weights, start = ridge(x, train.minutes, reg)
    return at @ weights + start


def rmse_table(
    trips: Trips, grid: list[float], folds: int, coding: Coding, learns: str = "",
    judged_learns: str = "",
) -> Table:  # fmt: skip
    """Return the mean RMSE over the folds; `learns` is "", "train" or "all"."""
    table = dict.fromkeys(grid, 0.0)
    for reg, fold in product(grid, range(folds)):
        train = trips.of((trips.fold >= 0) & (trips.fold != fold))
        held_out = trips.of(trips.fold == fold)
        learned_from = {"": train, "train": trips.train, "all": trips}[learns]
        found = predict(train, learned_from, held_out, reg, coding, judged_learns)
        table[reg] += rmse(found, held_out) / folds
    return table


def training_errors(trips: Trips, grid: list[float], folds: int, coding: Coding) -> list[Table]:
    """Return the errors of a model on rows that it was fitted on: on all of them, and by fold."""
    train = trips.train
    on = [[train], [train.of(train.fold == fold) for fold in range(folds)]]
    return [
        {
            reg: sum(rmse(predict(train, train, part, reg, coding), part) for part in parts)
            / len(parts)
            for reg in grid
        }
        for parts in on
    ]


def rmse(predicted: Floats, trips: Trips) -> float:
    return float(np.sqrt(np.mean((predicted - trips.minutes) ** 2)))


# --- Inputs


def draw_trips(rng: np.random.Generator, folds: int) -> Trips:
    """Draw couriers: each fold, and the test set, has its own scale of km and its own districts."""
    parts = []
    scales = rng.permutation([1.0, 6.0, 3.0][:folds])
    effects = dict(zip(DISTRICTS, rng.permutation([-9.0, 8.0, -4.0, 5.0, 0.0]), strict=True))
    effects["only in the test set"] = 3.0
    for fold in [*range(folds), -1]:
        counts = rng.permutation([26, 17, 11, 7, 4]) if fold >= 0 else [12, 9, 7, 5, 4]
        names = [n for n, count in zip(DISTRICTS, counts, strict=True) for _ in range(count)]
        names += ["only in the test set"] * (3 if fold < 0 else 0)
        scale = scales[fold] if fold >= 0 else 15.0
        km = scale * rng.lognormal(0.0, 0.6, len(names))
        kg = rng.normal(8.0, 2.0, len(names)) * (1.0 if fold >= 0 else 3.0)
        minutes = 14 + 1.2 * km + 0.6 * kg + np.array([effects[n] for n in names])
        minutes += rng.normal(0.0, 2.0, len(names)) + (0.0, 7.0, -6.0)[fold]
        parts.append(Trips(np.array(names), km, kg, minutes, np.full(len(names), fold)))
    whole = Trips(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    order = rng.permutation(len(whole.km))
    return Trips(*(column[order] for column in whole))


def new_trips(rng: np.random.Generator, districts: list[str], n: int) -> Trips:
    names = np.array([districts[i % len(districts)] for i in range(n)])
    km, kg = rng.lognormal(1.0, 0.8, n), rng.normal(8.0, 3.0, n)
    return Trips(names, km, kg, np.zeros(n), np.full(n, -1))


def draw_case(rng: np.random.Generator, folds: int, grid_size: int) -> Case:
    for _ in range(200):
        trips = draw_trips(rng, folds)
        grid = [float(g) for g in rng.choice([0.2, 1.0, 4.0, 12.0], grid_size, replace=False)]
        case = judge_case(rng, trips, new_trips(rng, DISTRICTS, 20), grid, folds)
        if tells_apart(case):
            return case
    raise GraderFault("no input was found on which all known mistakes show")


def judge_case(
    rng: np.random.Generator, trips: Trips, new: Trips, grid: list[float], folds: int
) -> Case:
    def tables(codings: Iterable[Coding], *learns: str) -> list[Table]:
        return [rmse_table(trips, grid, folds, coding, *learns) for coding in codings]

    right = tables(RIGHT)
    best = min(grid, key=right[0].__getitem__)

    def at(train: Trips, learned_from: Trips, codings: Iterable[Coding], reg: float = best) -> Any:
        return [predict(train, learned_from, new, reg, coding) for coding in codings]

    train = trips.train
    of_folds = [train.of(train.fold != fold) for fold in range(folds)]
    shuffled = [
        rmse_table(trips._replace(fold=mixed(rng, trips.fold)), grid, folds, RIGHT[0])
        for _ in range(30)
    ]
    return Case(
        trips, new, grid, folds,
        tables={
            "": right,
            "PREPROCESS_OUTSIDE_CV": tables(RIGHT, "train"),
            "FIT_ON_ALL": tables(RIGHT, "all"),
            "INDEX_PER_SPLIT": [t for own in ("index", "all") for t in tables(RIGHT, "", own)],
            "JUDGED_ON_TRAINING": [
                table for coding in RIGHT for table in training_errors(trips, grid, folds, coding)
            ],
            "STANDARDIZES_TWICE": tables(TWICE),
            "ORDINAL_AS_NUMBER": tables(ORDINAL),
        },
        ignoring_folds={
            reg: (min(t[reg] for t in shuffled), max(t[reg] for t in shuffled)) for reg in grid
        },
        predictions={
            "": at(train, train, RIGHT),
            "FIT_ON_ALL": [*at(train, trips, RIGHT), *at(trips, trips, RIGHT)],
            "NO_REFIT": [p for part in of_folds for p in at(part, part, RIGHT)],
            "LARGEST_ERROR_WINS": at(train, train, RIGHT, max(grid, key=right[0].__getitem__))
            if len(grid) > 1
            else [],
            "STANDARDIZES_TWICE": at(train, train, TWICE),
            "ORDINAL_AS_NUMBER": at(train, train, ORDINAL),
        },
    )  # fmt: skip


def mixed(rng: np.random.Generator, fold: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the folds given to other training rows at random."""
    found = fold.copy()
    found[fold >= 0] = rng.permutation(fold[fold >= 0])
    return found


def near_table(value: Table, expected: Table, rel: float = NEAR) -> bool:
    return same(value, expected, rel=rel)


def near(value: Any, expected: Floats, rel: float = NEAR) -> bool:
    return close(np.array(value, dtype=np.float64), expected, rel=rel)


def tells_apart(case: Case) -> bool:
    """Whether every mistake is far from what is right, and the best of the grid is clear."""
    right_table, right_minutes = case.tables[""], case.predictions[""]
    best, *others = sorted(right_table[0].values())
    return (
        all(worse > (1 + APART) * best for worse in others)
        and min(right_table[0], key=right_table[0].__getitem__)
        == min(right_table[1], key=right_table[1].__getitem__)
        and not any(
            near_table(wrong, right, APART)
            for code, tables in case.tables.items() if code
            for wrong, right in product(tables, right_table)
        )
        and not any(
            near(wrong, right, APART)
            for code, minutes in case.predictions.items() if code
            for wrong, right in product(minutes, right_minutes)
        )
        and all(high < 0.8 * right_table[0][reg] for reg, (_, high) in case.ignoring_folds.items())
    )  # fmt: skip


@once_per_seed
def case_with_grid(rng: np.random.Generator) -> Case:
    """Three folds: with two, training on the fold that is held out gives the same mean error."""
    return draw_case(rng, folds=3, grid_size=2)


@once_per_seed
def case_of_final_model(rng: np.random.Generator) -> Case:
    return draw_case(rng, folds=2, grid_size=1)


@once_per_seed
def case_of_unseen(rng: np.random.Generator) -> Case:
    """One district occurs in a single fold, and among the new trips are new districts."""
    case = draw_case(rng, folds=2, grid_size=1)
    trips = case.trips.of((case.trips.district != DISTRICTS[-1]) | (case.trips.fold != 1))
    new = new_trips(rng, [*DISTRICTS, *UNSEEN], 14)
    train, (reg,) = trips.train, case.grid
    right = [predict(train, train, new, reg, coding) for coding in RIGHT]
    return case._replace(trips=trips, new=new, tables={}, predictions={"": right})


# --- Checks


def fit(student: Any, spark: Any, case: Case) -> tuple[FittedModel, Table]:
    trips = spark.frame(SCHEMA, case.trips.rows(), partitions=1)
    arguments = (trips, list(case.grid), case.folds)
    model, table = student.value("fit_cv", *arguments, as_=tuple[Any, Table])
    return spark.model(model, "fit_cv"), table


def minutes_of(spark: Any, model: FittedModel, new: Trips) -> list[float | None]:
    """Return the prediction of each new trip, in their order; None where it has none."""
    names = [None if name == NULL else name for name in new.district.tolist()]
    columns = (range(len(names)), names, new.km.tolist(), new.kg.tolist())
    frame = spark.frame(NEW_SCHEMA, list(zip(*columns, strict=True)), partitions=2)
    found = model.predict(frame, key="trip")
    assert len(found) == len(dict(found)), blame(because="A trip has several predictions.")
    return [dict(found).get(trip) for trip in range(len(names))]


def first_known(value: Any, known: Mapping[str, list[Any]], near: Any) -> str | None:
    """Return the code whose value this is, "" if it is right, None if it is of no known mistake."""
    for code, values in known.items():
        if any(near(value, one) for one in values):
            return code
    return None


def test_cross_validation(student, spark, seed):
    """Each error is measured on rows from which nothing was learned, and the smallest decides."""
    case = case_with_grid(seed)
    model, table = fit(student, spark, case)
    assert table.keys() == set(case.grid), blame(
        because="The errors do not have exactly one entry for each value of grid."
    )
    code = first_known(table, case.tables, near_table)
    if code is None and all(
        0.9 * low <= table[reg] <= 1.1 * high for reg, (low, high) in case.ignoring_folds.items()
    ):
        code = "FOLDS_IGNORED"
    assert code == "", blame(
        code,
        because=""
        if code
        else "The errors are not those that these folds and these parameters lead to.",
    )
    # Everything else about the final model is the next check's subject.
    minutes = minutes_of(spark, model, case.new)
    assert first_known(minutes, case.predictions, near) != "LARGEST_ERROR_WINS", blame(
        "LARGEST_ERROR_WINS"
    )


def test_final_model(student, spark, seed):
    """The final model has learned from all training rows, and from no others."""
    case = case_of_final_model(seed)
    model, _ = fit(student, spark, case)
    minutes = minutes_of(spark, model, case.new)
    assert None not in minutes, blame(because="Some trips to known districts are not predicted.")
    code = first_known(minutes, case.predictions, near)
    assert code == "", blame(
        code,
        because=""
        if code
        else "The predictions are not those of the regression that the task describes.",
    )
    # A label that only the indexer has learned changes no prediction.
    labels = {label for stage in model.stages() for column in stage.labels for label in column}
    assert labels <= set(case.trips.train.district.tolist()), blame("FIT_ON_ALL")


def test_unseen_districts(student, spark, seed):
    """A district that is new, null, or missing from a fold stops nothing and loses no trip."""
    case = case_of_unseen(seed)
    unseen = np.isin(case.new.district, UNSEEN)
    try:
        model, _ = fit(student, spark, case)
        minutes = minutes_of(spark, model, case.new)
    except StudentFault as fault:
        if "StringIndexer" in fault.detail or "Unseen label" in fault.detail:
            assert False, blame("HANDLE_INVALID_ERROR")
        raise
    lost = [place for place, one in enumerate(minutes) if one is None]
    only_unseen = lost == np.flatnonzero(unseen).tolist()
    assert not lost, blame(
        "SKIPS_UNSEEN" if only_unseen else None,
        because="" if only_unseen else "Some new trips have no prediction.",
    )
    # A mistake that changes the known districts, too, is another check's subject.
    known = [one for one, new in zip(minutes, unseen, strict=True) if not new]
    for right in case.predictions[""]:
        if near(known, right[~unseen]):
            assert near(minutes, right), blame(
                because="The prediction for a new district is not that of a row whose district"
                " columns are all zero."
            )


def test_wrong_arguments(student, spark, seed):
    """An empty grid, and fewer than two folds, are a ValueError."""
    rows = [("hill", 1.0 + i, 2.0, 9.0 + i, i % 2) for i in range(6)]
    for grid, folds in (([], 2), ([1.0], 1), ([1.0], 0)):
        raised = student.refusal("fit_cv", spark.frame(SCHEMA, rows, partitions=1), grid, folds)
        assert "ValueError" in raised, blame(
            because="An empty grid, or folds below 2, should raise ValueError."
        )
