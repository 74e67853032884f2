"""3.10 `grid_search`: a search that fits what candidates have in common once, from lazy data.

The stages of the pipeline learn nothing: they tell an instrument which rows they are fitted to and
scored on, and whose output they get, and it decides the scores. So fits, folds, leaks and the best
candidate are known whatever the search object says. The data are read block by block from another
instrument. Where they are embedded in the graph is a claim of a probe.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from math import prod

import numpy as np

from shardwork.grading import Estimator, Instrument, Refusal, blame

FOLDS = 3
COLUMNS = 400
STAGES = ["scale", "select"]
MOST_FITS = 20_000
HEAVY_BYTES = 16_000
"""A block of X takes 64 kB; the largest entry of the reference's graphs has 1.2 kB, pickled."""


class Blocks(Instrument):
    """Gives block (i, 0) of X, or block (i,) of y, and counts how often each is read."""

    def __init__(self, values: np.ndarray, rows: int) -> None:
        self.values, self.rows = values, rows
        self.reads: Counter[int] = Counter()

    def call(self, *index: int) -> np.ndarray:
        self.reads[index[0]] += 1
        return self.values[index[0] * self.rows : (index[0] + 1) * self.rows]


class Fit:
    """A stage was fitted to `rows`, which `before` had been made of by fits of earlier stages."""

    def __init__(self, stage: str, setting: int, rows: list[int], before: list[list[int]]) -> None:
        self.stage, self.setting, self.before = stage, setting, before
        self.rows = frozenset(rows)


class Record(Instrument):
    """Numbers the fits, and scores candidates as `worth` says: {(setting, ...): score}."""

    def __init__(self, worth: dict[tuple[int, ...], float]) -> None:
        self.worth = worth
        self.fits: list[Fit] = []
        self.scored: dict[tuple[int, ...], list[tuple[Fit, frozenset[int]]]] = defaultdict(list)
        self.mixed = self.outside = 0

    def call(self, running: int, what: str, *args: object) -> float:
        self.outside += running == 0
        if len(self.fits) > MOST_FITS:
            raise Refusal("far more fits than a search needs")
        if what == "fit":
            self.fits.append(Fit(*args))
            return len(self.fits) - 1
        if what == "score":
            return self.score(*args)
        raise Refusal("this is not how it is called")

    def score(self, number: object, rows: list[int], before: list[list[float]]) -> float:
        if number not in range(len(self.fits)) or len(before) != 1:
            raise Refusal("what is scored has not been fitted, or comes from several fits")
        fit = self.fits[number]
        self.mixed += fit.before != before
        known = [int(stamp) for stamp in before[0]]
        if not all(0 <= stamp < len(self.fits) for stamp in known):
            raise Refusal("what is scored has not been fitted")
        candidate = (*(self.fits[stamp].setting for stamp in known), fit.setting)
        self.scored[candidate].append((fit, frozenset(rows)))
        return self.worth.get(candidate, 0.0)


class Trial:
    """One call of the student's function, with a grid of random settings."""

    def __init__(self, student, dask, rng, *, rows: int = 20, blocks: int = 6) -> None:
        self.n = rows * blocks
        self.grid, self.settings = {}, []
        for step in [*STAGES, "model"]:
            size = int(rng.integers(2, 4))
            some = [int(s) for s in rng.choice(np.arange(1, 100), size=size, replace=False)]
            self.grid[f"{step}__setting"] = some
            self.settings.append(some)
        candidates = [()]
        for some in self.settings:
            candidates = [(*one, setting) for one in candidates for setting in some]
        marks = rng.choice(900, size=len(candidates), replace=False) / 1000 + 0.05
        self.record = Record(dict(zip(candidates, marks.tolist(), strict=True)))
        values = rng.normal(size=(self.n, COLUMNS))
        values[:, 0] = np.arange(self.n)
        values[:, 1 : len(STAGES) + 1] = -1  # no fit yet
        labels = rng.permutation(np.arange(self.n) % 2)
        self.X, self.y = Blocks(values, rows), Blocks(labels, rows)
        sizes = (rows,) * blocks
        X = dask.blocks(self.X, (sizes, (COLUMNS,)))
        y = dask.blocks(self.y, (sizes,), "int64")
        pipeline = dask.pipeline(self.record, STAGES)
        with dask.watch_graphs(HEAVY_BYTES) as self.runs:
            search = student.call("grid_search", pipeline, self.grid, X, y, returns=Estimator)
        self.found = search.search_result()
        self.candidates = len(candidates)

    @property
    def on_folds(self) -> dict[str, int]:
        """How often each stage was fitted to some of the rows, but not to all."""
        return Counter(fit.stage for fit in self.record.fits if len(fit.rows) < self.n)

    def needed(self, stage: str) -> int:
        """Fits of a stage on folds: one for each setting of it and of those before, and fold."""
        place = [*STAGES, "model"].index(stage) + 1
        return FOLDS * prod(len(some) for some in self.settings[:place])


def test_best(student, dask, rng):
    """The search tries every candidate, finds the best one, and refits it once on all rows."""
    trial = Trial(student, dask, rng)
    found, worth = trial.found, trial.record.worth
    assert found.kind is not None, blame(
        because="What was returned is a {kind}, and no GridSearchCV.", kind=found.type
    )
    tried = {"candidates": found.candidates, "wanted": trial.candidates}
    assert set(trial.record.scored) == set(worth), blame(
        because="Other candidates were tried than those of the grid.", **tried
    )
    assert found.candidates == trial.candidates, blame(
        because="The results of the search are not about the candidates of the grid.", **tried
    )
    best = max(worth, key=lambda candidate: worth[candidate])
    assert found.best_params == dict(zip(trial.grid, best, strict=True)), blame(
        because="The search does not report the best candidate."
    )
    on_all = Counter(fit.stage for fit in trial.record.fits if len(fit.rows) == trial.n)
    assert found.refitted and all(on_all[stage] >= 1 for stage in [*STAGES, "model"]), blame(
        because="The best candidate was not fitted again to all rows."
    )
    assert max(on_all.values()) == 1, blame(
        because="Stages were fitted to all rows more than once.", fits=max(on_all.values())
    )


def test_folds(student, dask, rng):
    """Each candidate is scored on three folds, and nothing that is scored was fitted to them."""
    trial = Trial(student, dask, rng)
    record = trial.record
    assert record.scored, blame(because="No candidate was scored.")
    scored = [one for some in record.scored.values() for one in some]
    seen = sum(bool(fit.rows & rows) for fit, rows in scored)
    leaked = 0
    for fit, rows in scored:
        stages = [record.fits[int(stamp)] for stamp in fit.before[0]]
        leaked += any(stage.rows & rows for stage in stages) and not fit.rows & rows
    found = {"scores": len(scored), "fitted_to_them": seen, "stages_fitted_to_them": leaked}
    assert not seen, blame("TUNED_ON_TEST", **found)
    assert not leaked, blame("PREPROCESS_OUTSIDE_CV", **found)
    assert not record.mixed, blame(
        because="A model was scored on rows that other fits of the stages had made.", **found
    )
    for some in record.scored.values():
        counted = Counter(row for _, rows in some for row in rows)
        assert len(some) == FOLDS and counted == Counter(range(trial.n)), blame(
            because="A candidate was not scored on three folds that have each row once.", **found
        )


def test_shared_fits(student, dask, rng):
    """What candidates have in common is fitted once for each fold, and not for each candidate."""
    trial = Trial(student, dask, rng)
    fits, first = trial.on_folds, STAGES[0]
    found = {stage: fits[stage] for stage in [*STAGES, "model"]}
    assert fits["model"] >= trial.candidates, blame(
        because="The model was not fitted on folds for each candidate.", **found
    )
    per_candidate = fits[first] >= FOLDS * trial.candidates
    many = [stage for stage in [*STAGES, "model"] if fits[stage] > trial.needed(stage)]
    assert not many, blame(
        "FIT_PER_CANDIDATE" if per_candidate else None, **found,
        because="" if per_candidate
        else "Some stage was fitted more often than once for each fold and what comes before it.",
    )  # fmt: skip
    assert all(fits[stage] for stage in STAGES), blame(
        because="A stage was never fitted on a fold.", **found
    )


def test_lazy(student, dask, rng):
    """The data stay lazy: tasks read them, and the graph of the search does not carry them."""
    trial = Trial(student, dask, rng)
    reads = max(trial.X.reads.values(), default=0)
    found = {"reads": reads, "heavy": sum(run.heavy for run in trial.runs)}
    assert trial.runs and trial.record.fits, blame(because="Dask computed nothing.", **found)
    # The reference reads X twice: for the search, and for the refit. The output of stages that are
    # fitted outside is in the graph as well, but that is another mistake.
    outside = not trial.on_folds[STAGES[0]]
    assert not found["heavy"], blame(
        None if outside else "COMPUTED_X", **found,
        because="The graph of the search carries data." if outside else "",
    )  # fmt: skip
    assert reads >= 1, blame(because="X was never read.", **found)
    assert trial.record.outside == 0, blame(
        because="Stages were fitted or scored outside of all tasks of Dask.",
        times=trial.record.outside,
    )
    assert reads <= 2, blame(because="X was read more than twice.", **found)
