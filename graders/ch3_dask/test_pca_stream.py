"""3.9 `pca_stream` and `fit_incremental`: moments and a model in one pass, with little in memory.

The blocks of the input come from an instrument, so how often each was loaded is known. What is in
memory at once is a claim of a probe. A two-pass computation holds everything or loads everything
twice, and the usual one-pass formula is wrong far from zero: so no check stands alone.

The model of `fit_incremental` learns nothing: it tells another instrument on which rows it is
trained, and which model is asked for predictions, and gets them from there. So it is known what was
trained on what and when, and how many blocks were loaded before the model had learned from them.
The order of the blocks does not matter: dask-ml shuffles them.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from shardwork.grading import (
    Array,
    Function,
    Instrument,
    OracleBank,
    Refusal,
    blame,
    close,
)

TOLERANCE = 1e-5
"""Right ways near 1e8 are within 1e-7 for the mean and 1e-8 for the components; sums of squares are
off by about 1, and the mistakes about weights and blocks by more than 6e-4."""
MOST_BLOCKS = 3.2
"""In memory at once, of blocks of 250 kB. Summaries of blocks: 0.1 to 2.0; everything: 14 and more.

Of blocks of 29 kB, training a model: dask-ml 1.0, a loop 2.0; everything: 12 and more.
"""
MOST_STEPS = 2_000
"""Of training, far more than any way needs that is not out of hand."""

Answer = tuple[np.ndarray, np.ndarray]


class Rows(Instrument):
    """Gives the blocks of an array, and counts how often each was loaded."""

    def __init__(self, blocks: list[np.ndarray]) -> None:
        self.blocks = blocks
        self.loads: Counter[int] = Counter()

    def call(self, i: int, j: int) -> np.ndarray:
        self.loads[i] += 1
        return self.blocks[i]

    @property
    def again(self) -> int:
        """Loads beyond the first of each block."""
        return self.loads.total() - len(self.loads)


def draw(rng, lengths: list[int], columns: int, offset: float, drift: float) -> list[np.ndarray]:
    """Draw blocks of rows; their means move by `drift` from the first block to the last.

    Column by column, the rows lie around `offset` and its multiples.
    """
    scale = 2.0 ** -np.arange(columns) + 0.01
    turn = np.linalg.qr(rng.normal(size=(columns, columns)))[0]
    away = np.sign(rng.normal(size=columns)) * (0.5 + rng.random(columns)) * offset
    # along the direction that varies least within a block, so that drifting changes the order
    path = drift * turn[-1]
    steps = np.linspace(-0.5, 0.5, len(lengths))
    return [
        away + step * path + (rng.normal(size=(n, columns)) * scale) @ turn
        for n, step in zip(lengths, steps, strict=True)
    ]


def uneven(rng, blocks: int) -> list[int]:
    """Draw lengths of blocks: the first ones are long, the last ones short."""
    return [int(rng.integers(300, 500) if i < blocks // 2 else rng.integers(30, 60))
            for i in range(blocks)]  # fmt: skip


def components(scatter: np.ndarray, k: int) -> np.ndarray:
    return np.linalg.eigh(scatter)[1].T[::-1][:k]


def expected(blocks: list[np.ndarray], k: int) -> Answer:
    rows = np.concatenate(blocks)
    # Twice centred: the first mean is rounded far from zero.
    centred = rows - rows.mean(axis=0)
    rest = centred.mean(axis=0)
    centred = centred - rest
    return rows.mean(axis=0) + rest, components(centred.T @ centred, k)


def same_up_to_sign(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays have the same rows, each up to its sign."""
    if a.shape != b.shape or a.dtype != b.dtype or not np.isfinite(a).all():
        return False
    signs = np.where((a * b).sum(axis=1) < 0, -1.0, 1.0)
    return close(a * signs[:, None], b, rel=TOLERANCE)


def ask(student, dask, blocks: list[np.ndarray], k: int) -> tuple[Answer, Rows]:
    """Call the student's function; return its answer, of the right form, and the loads."""
    rows = Rows(blocks)
    columns = blocks[0].shape[1]
    x = dask.blocks(rows, ([len(block) for block in blocks], [columns]))
    mean, found = student.value("pca_stream", x, k, as_=tuple[np.ndarray, np.ndarray])
    assert mean.shape == (columns,) and found.shape == (k, columns), blame(
        because="The mean should have the shape (d,), and the components (k, d).",
        mean=list(mean.shape), components=list(found.shape),
    )  # fmt: skip
    assert mean.dtype == found.dtype == np.float64, blame(
        because="The mean and the components should be float64."
    )
    return (mean, found), rows


def test_values(student, dask, rng):
    """Mean and components are right, with blocks of different lengths that drift."""
    lengths, columns = uneven(rng, 12), int(rng.integers(4, 7))
    k = int(rng.integers(2, columns))
    blocks = draw(rng, lengths, columns, offset=6.0, drift=9.0)
    (mean, found), _ = ask(student, dask, blocks, k)
    right_mean, right = expected(blocks, k)
    rows = np.concatenate(blocks)
    within = [block - block.mean(axis=0) for block in blocks]
    means = OracleBank(
        right=right_mean,
        wrong={"MEAN_OF_MEANS": np.mean([block.mean(axis=0) for block in blocks], axis=0)},
        same=lambda a, b: close(a, b, rel=TOLERANCE),
    )
    assert means.accepts(mean), means.explain(mean)
    bank = OracleBank(
        right=right,
        wrong={
            "NOT_CENTRED": components(rows.T @ rows, k),
            "BETWEEN_FORGOTTEN": components(sum(c.T @ c for c in within), k),
        },
        same=same_up_to_sign,
    )
    assert bank.accepts(found), bank.explain(found, k=k)


def test_far_from_zero(student, dask, rng):
    """The components are right where the values are near 1e8."""
    lengths, columns = uneven(rng, 8), 5
    near = draw(rng, lengths, columns, offset=6.0, drift=0.0)
    far = draw(rng, lengths, columns, offset=1e8, drift=0.0)
    (mean, found), _ = ask(student, dask, far, 2)
    right_mean, right = expected(far, 2)
    # To 1e-5 of the standard deviation, which is near 1; not of the mean.
    assert close(mean, right_mean, rel=0.0, abs=TOLERANCE), blame(
        because="The mean is not right to five digits of the standard deviation."
    )
    if same_up_to_sign(found, right):
        return
    (_, control), _ = ask(student, dask, near, 2)
    only_far = same_up_to_sign(control, expected(near, 2)[1])
    assert not only_far, blame("SUM_OF_SQUARES")
    # What is wrong near zero, too, is told by `test_values`.
    raise AssertionError(blame(because="The components are wrong."))


def test_one_pass(student, dask, rng):
    """Each block is loaded once; the first may be loaded twice."""
    blocks = draw(rng, uneven(rng, 10), 4, offset=3.0, drift=1.0)
    _, rows = ask(student, dask, blocks, 2)
    assert len(rows.loads) == len(blocks), blame(because="Some blocks were never loaded.")
    others = sum(n - 1 for i, n in rows.loads.items() if i)
    assert others == 0 and rows.again <= 1, blame("TWO_PASSES", loads=rows.loads.total(), blocks=10)


def test_memory(student, dask, rng):
    """At most three blocks are in memory at once."""
    n, columns = 5200, 6
    blocks = draw(rng, [n] * 14, columns, offset=3.0, drift=1.0)
    size = blocks[0].nbytes
    with dask.watch() as seen:
        _, rows = ask(student, dask, blocks, 2)
    assert len(rows.loads) == len(blocks), blame(because="Some blocks were never loaded.")
    peak, largest = seen.peak_bytes / size, seen.largest_bytes / size
    found = {"peak_blocks": round(peak, 2), "largest_blocks": round(largest, 2)}
    assert seen.computes, blame(because="The blocks were not computed by Dask's local scheduler.")
    code = None
    if largest >= len(blocks) - 1:
        code = "COMPUTED_X"
    elif peak >= len(blocks) / 2:
        code = "HOLDS_X"
    assert peak <= MOST_BLOCKS, blame(
        code, **found,
        because="" if code else "Up to {peak_blocks} blocks are in memory at once.",
    )  # fmt: skip


def test_edges(student, dask, rng):
    """Blocks of one row, all components, and a k that is out of range."""
    blocks = draw(rng, [1, 1, 40, 1, 25], 3, offset=2.0, drift=1.0)
    (_, found), _ = ask(student, dask, blocks, 3)
    assert same_up_to_sign(found @ found.T, np.eye(3)), blame(
        because="The components should have length 1 and be at right angles to each other."
    )
    x = dask.blocks(Rows(blocks), ([len(block) for block in blocks], [3]))
    for k in (0, 4):
        raised = student.refusal("pca_stream", x, k)
        assert "ValueError" in raised, blame(
            because="A k below 1 or above the number of columns should raise ValueError."
        )


class Step(NamedTuple):
    """A step of training: of the model whose earlier steps are `before`."""

    rows: list[int]
    labels: list[int]
    classes: list[int] | None
    before: list[int]


class Training(Instrument):
    """Records the training of a model, and says what it predicts.

    `waiting` are the rows that have been loaded and not been trained on since.
    """

    def __init__(self, labels: np.ndarray, answers: dict[int, int]) -> None:
        self.labels, self.answers = labels, answers
        self.steps: list[Step] = []
        self.asked: list[list[int]] = []
        self.waiting: set[int] = set()
        self.most_waiting = 0

    def loaded(self, rows: np.ndarray) -> None:
        self.waiting.update(int(row) for row in rows)
        self.most_waiting = max(self.most_waiting, len(self.waiting))

    def call(
        self,
        what: str,
        rows: list[int],
        labels: list[int],
        classes: list[int] | None,
        steps: list[int],
    ) -> list[int]:
        if what == "predict":
            self.asked.append(steps)
            return [self.answers.get(row, int(self.labels[0])) for row in rows]
        if not all(0 <= row < len(self.labels) for row in rows):
            raise Refusal("the model was trained on rows that X does not have")
        if len(self.steps) >= MOST_STEPS:
            raise Refusal("far more steps of training than there are blocks")
        self.waiting.difference_update(rows)
        self.steps.append(Step(rows, labels, classes, steps))
        return [len(self.steps) - 1]


class Watched(Rows):
    """Blocks of rows that tell the training that they are loaded."""

    def __init__(self, blocks: list[np.ndarray], training: Training) -> None:
        super().__init__(blocks)
        self.training = training

    def call(self, i: int, j: int) -> np.ndarray:
        self.training.loaded(self.blocks[i][:, 0])
        return super().call(i, j)


class Trial:
    """One call of `fit_incremental`; the labels rise from block to block, so none holds them all.

    Column 0 of the rows holds their number.
    """

    def __init__(self, student, dask, rng, lengths: list[int], columns: int = 8) -> None:
        n, new = sum(lengths), [int(size) for size in rng.integers(20, 50, size=4)]
        self.classes = sorted(int(c) for c in rng.choice(np.arange(2, 90), size=5, replace=False))
        labels = np.repeat(self.classes, -(-n // 5))[:n]
        cuts = np.cumsum(lengths)[:-1]
        self.labels = np.split(labels, cuts)
        self.new_labels = rng.choice(self.classes, size=sum(new))
        # Numbers that are not those of X; 0 is what Dask and dask-ml try a model with.
        numbers = 10_000 + rng.permutation(sum(new))
        answers = dict(zip(numbers.tolist(), self.new_labels.tolist(), strict=True))
        self.training = Training(labels, answers)
        rows, new_rows = rng.normal(size=(n, columns)), rng.normal(size=(sum(new), columns))
        rows[:, 0], new_rows[:, 0] = np.arange(n), numbers
        self.rows = Watched(np.split(rows, cuts), self.training)
        self.new_rows = Rows(np.split(new_rows, np.cumsum(new)[:-1]))
        self.new_chunks, self.columns = tuple(new), columns
        self.dask = dask
        x = dask.blocks(self.rows, (lengths, [columns]))
        y = dask.array(labels, (lengths,))
        model = dask.learner(self.training)
        with dask.watch() as self.work:
            self.predict = student.call("fit_incremental", model, x, y, returns=Function)
        self.on_return = len(self.training.steps)

    def predictions(self) -> Array:
        """Ask for predictions of the new rows."""
        x = self.dask.blocks(self.new_rows, (self.new_chunks, [self.columns]))
        return self.predict.call(x, returns=Array, name="predict")

    @property
    def steps(self) -> list[Step]:
        """The steps of training; one block is predicted, if there are none without it."""
        if not self.training.steps:
            self.predictions().block(0).compute()
        assert self.training.steps, blame(because="The model was never trained.")
        return self.training.steps


def test_classes(student, dask, rng):
    """The first step of training is told all classes, also where no block holds them all."""
    trial = Trial(student, dask, rng, [int(size) for size in rng.integers(40, 90, size=8)])
    per_block = [sorted({int(label) for label in labels}) for labels in trial.labels]
    steps = trial.steps
    for step in steps:
        if step.before:
            continue
        found = {"classes": len(step.classes or ()), "wanted": len(trial.classes)}
        assert step.classes not in per_block, blame("CLASSES_FROM_FIRST_BLOCK", **found)
        assert step.classes == trial.classes, blame(
            because="The first step was told {classes} classes, and not the {wanted} of `y`.",
            **found,
        )
    assert all(step.classes in (None, trial.classes) for step in steps), blame(
        because="A later step was told other classes than the first."
    )


def test_trained_once(student, dask, rng):
    """The model that predicts was trained on each row once, before the function returned."""
    lengths = [int(size) for size in rng.integers(40, 90, size=9)]
    trial = Trial(student, dask, rng, lengths)
    steps = trial.steps
    assert trial.on_return, blame("TRAINS_LATER", steps=len(steps))
    for step in steps:
        assert step.labels == [int(trial.training.labels[row]) for row in step.rows], blame(
            because="The model was trained with labels of other rows."
        )
    seen = Counter(row for step in steps for row in step.rows)
    assert max(seen.values()) == 1, blame("TRAINS_AGAIN", times=max(seen.values()))
    assert len(seen) == sum(lengths), blame(
        because="The model was not trained on all rows.", rows=len(seen)
    )
    trial.predictions().block(0).compute()
    assert trial.training.asked, blame(because="No model was asked for the predictions.")
    own = {row for number in trial.training.asked[-1] for row in steps[number].rows}
    assert len(own) == len(seen), blame("MODEL_PER_BLOCK", rows=len(own), of=len(seen))
    assert trial.rows.again <= trial.rows.loads[0] - 1 <= 1, blame(
        because="Blocks of X were loaded more than once.", loads=trial.rows.loads.total()
    )


def test_training_memory(student, dask, rng):
    """At most three blocks are loaded and not yet learned from."""
    length, blocks = 60, 12
    trial = Trial(student, dask, rng, [length] * blocks, columns=60)
    size = trial.rows.blocks[0].nbytes
    steps = trial.steps
    waiting, peak = trial.training.most_waiting / length, trial.work.peak_bytes / size
    found = {"steps": len(steps), "waiting": round(waiting, 2), "peak_blocks": round(peak, 2)}
    assert len(trial.rows.loads) == blocks, blame(because="Some blocks were never loaded.")
    assert waiting < blocks - 1, blame("LOADED_FIRST", **found)
    most = max(waiting, peak)
    assert most <= MOST_BLOCKS, blame(
        because="Up to {most} blocks are in memory at once.", most=round(most, 2), **found
    )


def test_predictions(student, dask, rng):
    """Predictions are lazy, block by block, and those of the model."""
    trial = Trial(student, dask, rng, [int(size) for size in rng.integers(20, 40, size=5)])
    predictions = trial.predictions()
    loads = trial.new_rows.loads
    assert not loads, blame("PREDICTS_AT_ONCE", loads=loads.total())
    assert predictions.layout().chunks == (trial.new_chunks,), blame(
        because="The predictions should be in blocks as the rows of X_new are."
    )
    one = predictions.block(1).compute()
    assert set(loads) == {1}, blame(
        because="To compute one block of the predictions, other blocks of X_new are loaded.",
        loaded=len(loads),
    )
    found = predictions.compute()
    expected = trial.new_labels
    begin, end = trial.new_chunks[0], sum(trial.new_chunks[:2])
    assert np.array_equal(found, expected) and np.array_equal(one, expected[begin:end]), blame(
        because="The predictions are not those of the model."
    )
