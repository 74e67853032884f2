import dask
import dask.array as da
import numpy as np
from otter.test_files import test_case

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
