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
    success_message="モデルは3つのブロックのどれからも学習しています。",
    failure_message="30行、21行、9行の3つのブロックで、モデルは各行から1度ずつ学習するはずです。",
)
def test_training(fit_incremental):
    asked.clear()
    fit_incremental(Steps(), *mixed((30, 21, 9)))
    assert asked, "partial_fit が1度も呼び出されていません。"
    assert sum(asked[-1]) == 60, f'モデルは60行ではなく、{sum(asked[-1])}行から学習しました。'


@test_case(
    name="predictions",
    success_message="予測は、行と同じブロックに分かれたDaskの配列で、値も正しくなっています。",
    failure_message="12行と30行のブロックに対しては、予測も同じブロックに分かれて42個あるはずです。",
)
def test_predictions(fit_incremental):
    predict = fit_incremental(GaussianNB(), *mixed((30, 21, 9)))
    assert callable(predict), f'fit_incremental が返したのは {type(predict).__name__} です。'
    rows, kinds = mixed((12, 30))
    found = predict(rows)
    assert isinstance(found, da.Array), f'predict が返したのは {type(found).__name__} です。'
    assert found.chunks == ((12, 30),), f'予測のブロックは {found.chunks} です。'
    wrong = int((found.compute() != kinds.compute()).sum())
    assert wrong == 0, f'42個の予測のうち{wrong}個が誤りです。3つの場所は遠く離れています。'
