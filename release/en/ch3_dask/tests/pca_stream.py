import dask
import dask.array as da
import numpy as np
from otter.test_files import test_case
from sklearn.naive_bayes import GaussianNB

OK_FORMAT = False
name = "pca_stream"
points = None


class Trial:
    """One run of pca_stream on points near the line y = 2 x, in blocks of different lengths."""

    def __init__(self, pca_stream, k=1, offset=0.0):
        self.loads = []
        places = np.linspace(-1.0, 1.0, 90)
        across = 0.01 * np.cos(40 * places)
        self.rows = np.column_stack([places - 2 * across, 2 * places + across]) + offset
        pieces = [self.rows[:50], self.rows[50:80], self.rows[80:]]
        delayed = [dask.delayed(self.load, pure=False)(i, piece) for i, piece in enumerate(pieces)]
        shapes = [piece.shape for piece in pieces]
        x = da.concatenate(
            [da.from_delayed(d, s, dtype=float) for d, s in zip(delayed, shapes, strict=True)]
        )
        self.mean, self.components = pca_stream(x, k)

    def load(self, number, piece):
        self.loads.append(number)
        return piece


@test_case(
    name="shapes",
    success_message="The mean and the components have the right shapes.",
    failure_message="For two columns and k = 1 the shapes should be (2,) and (1, 2).",
)
def test_shapes(pca_stream):
    trial = Trial(pca_stream)
    shapes = np.shape(trial.mean), np.shape(trial.components)
    assert shapes == ((2,), (1, 2)), f"The shapes are {shapes[0]} and {shapes[1]}."


@test_case(
    name="mean",
    success_message="The mean is that of all rows.",
    failure_message="Three blocks of 50, 30 and 10 rows: the mean should be that of all rows.",
)
def test_mean(pca_stream):
    trial = Trial(pca_stream)
    off = float(np.abs(trial.mean - trial.rows.mean(axis=0)).max())
    assert off < 1e-6, f"The mean is off by {off:.2g}."


@test_case(
    name="direction",
    success_message="The first component points along the line.",
    failure_message="The points lie near y = 2 x, so the first component should point along it, "
    "wherever the middle of the points is.",
)
def test_direction(pca_stream):
    for offset in (0.0, 50.0):
        x, y = Trial(pca_stream, offset=offset).components[0]
        assert abs(y - 2 * x) < 0.05, f"Around {offset:.0f} it is ({x:.2f}, {y:.2f})."


@test_case(
    name="loads",
    success_message="Each block is loaded once.",
    failure_message="Each of the three blocks should be loaded once (the first may be, twice).",
)
def test_loads(pca_stream):
    loads = Trial(pca_stream).loads
    times = [loads.count(i) for i in range(3)]
    assert times[0] in (1, 2) and times[1:] == [1, 1], f"They were loaded {times} times."


@test_case(
    name="errors",
    success_message="A k that is out of range raises ValueError.",
    failure_message="With two columns, k = 0 and k = 3 should raise ValueError.",
)
def test_errors(pca_stream):
    for k in (0, 3):
        raised = False
        try:
            Trial(pca_stream, k=k)
        except ValueError:
            raised = True
        assert raised, f"k = {k} raised no ValueError."


class Steps(GaussianNB):
    """A model that remembers of which rows its steps of training were."""

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        self.rows_ = [*getattr(self, "rows_", []), len(X)]
        asked.append(self.rows_)
        return super().partial_fit(X, y, classes, sample_weight)


asked = []


def mixed(lengths):
    """Rows around three places far from each other, well mixed, and which place it is."""
    kinds = np.arange(sum(lengths)) % 3
    places = np.column_stack([10.0 * kinds, np.cos(np.arange(len(kinds)))])
    return da.from_array(places, chunks=(lengths, 2)), da.from_array(kinds, chunks=(lengths,))


@test_case(
    name="training",
    success_message="The model learns from each of the three blocks.",
    failure_message="Three blocks of 30, 21 and 9 rows: the model should learn from each row once.",
)
def test_training(fit_incremental):
    asked.clear()
    fit_incremental(Steps(), *mixed((30, 21, 9)))
    assert asked, "partial_fit was never called."
    assert sum(asked[-1]) == 60, f"The model learned from {sum(asked[-1])} rows, and not from 60."


@test_case(
    name="predictions",
    success_message="The predictions are a Dask array in the blocks of the rows, and right.",
    failure_message="For blocks of 12 and 30 rows there should be 42 predictions in such blocks.",
)
def test_predictions(fit_incremental):
    predict = fit_incremental(GaussianNB(), *mixed((30, 21, 9)))
    assert callable(predict), f"fit_incremental returned a {type(predict).__name__}."
    rows, kinds = mixed((12, 30))
    found = predict(rows)
    assert isinstance(found, da.Array), f"predict returned a {type(found).__name__}."
    assert found.chunks == ((12, 30),), f"The blocks of the predictions are {found.chunks}."
    wrong = int((found.compute() != kinds.compute()).sum())
    assert wrong == 0, f"{wrong} of 42 predictions are wrong, and the places are far apart."
