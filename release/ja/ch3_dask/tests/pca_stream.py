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
    success_message="平均と主成分の形が正しくなっています。",
    failure_message="列が2つでk = 1なら、形は(2,)と(1, 2)にならなければなりません。",
)
def test_shapes(pca_stream):
    trial = Trial(pca_stream)
    shapes = np.shape(trial.mean), np.shape(trial.components)
    assert shapes == ((2,), (1, 2)), f'形が{shapes[0]}と{shapes[1]}になっています。'


@test_case(
    name="mean",
    success_message="平均が、すべての行の平均になっています。",
    failure_message="50行、30行、10行の3つのブロックです。平均は、すべての行の平均でなければなりません。",
)
def test_mean(pca_stream):
    trial = Trial(pca_stream)
    off = float(np.abs(trial.mean - trial.rows.mean(axis=0)).max())
    assert off < 1e-6, f'平均が{off:.2g}だけずれています。'


@test_case(
    name="direction",
    success_message="第1主成分が直線の方向を向いています。",
    failure_message="点はy = 2 xの近くに並んでいます。点の中心がどこにあっても、第1主成分はこの直線の方向を向かなければなりません。",
)
def test_direction(pca_stream):
    for offset in (0.0, 50.0):
        x, y = Trial(pca_stream, offset=offset).components[0]
        assert abs(y - 2 * x) < 0.05, f'中心が{offset:.0f}のとき、({x:.2f}, {y:.2f})になっています。'


@test_case(
    name="loads",
    success_message="各ブロックが1度だけ読み込まれています。",
    failure_message="3つのブロックはそれぞれ1度だけ読み込まれなければなりません（最初のブロックは2度まで）。",
)
def test_loads(pca_stream):
    loads = Trial(pca_stream).loads
    times = [loads.count(i) for i in range(3)]
    assert times[0] in (1, 2) and times[1:] == [1, 1], f'読み込まれた回数が{times}になっています。'


@test_case(
    name="errors",
    success_message="範囲外のkに対して、ValueErrorが発生します。",
    failure_message="列が2つのとき、k = 0とk = 3ではValueErrorが発生しなければなりません。",
)
def test_errors(pca_stream):
    for k in (0, 3):
        raised = False
        try:
            Trial(pca_stream, k=k)
        except ValueError:
            raised = True
        assert raised, f'k = {k}でValueErrorが発生しませんでした。'
