from dask.callbacks import Callback
from otter.test_files import test_case

OK_FORMAT = False
name = "two_reports"
points = None

SALES = {
    "mon": [("c1", 5), ("c2", 7)],
    "tue": [("c1", 1), ("c999", 4), ("no such code", 50)],
    "wed": [],
    "thu": [("c3", 2)],
}
TABLE = {f"c{i}": f"region {i % 3}" for i in range(1000)}


class Trial(Callback):
    """One run of two_reports on four files; notes the loads, and the runs of the scheduler."""

    def __init__(self, two_reports, paths=tuple(SALES)):
        self.loaded = []
        self.early = self.runs = self.open = self.nested = 0
        with self:
            self.result = two_reports(list(paths), self.load, TABLE)
        pair = isinstance(self.result, tuple) and len(self.result) == 2
        assert pair, "two_reportsは、2つの辞書のタプルを返すはずです。"
        kinds = [type(report).__name__ for report in self.result]
        assert kinds == ["dict", "dict"], f'two_reportsが返したのは、{kinds[0]}と{kinds[1]}でした。'

    def load(self, path):
        self.loaded.append(path)
        self.early += not self.open
        return SALES[path]

    def _start(self, graph):
        self.runs += 1
        self.nested += self.open > 0
        self.open += 1

    def _finish(self, graph, state, failed):
        self.open -= 1


@test_case(
    name="values",
    success_message="4つのファイルについての報告は、どちらも正しい値です。",
    failure_message="4つの小さなファイルについての報告に、誤りがあります。",
)
def test_values(two_reports):
    totals, largest = Trial(two_reports).result
    assert sum(totals.values()) == 19, f'totalsの金額を合計すると{sum(totals.values())}です。'
    assert max(largest.values(), default=0) == 7, f'largestは{largest!r}です。'


@test_case(
    name="no paths",
    success_message="パスがないとき、報告はどちらも空です。",
    failure_message="パスがないとき、結果は2つの空の辞書になるはずです。",
)
def test_no_paths(two_reports):
    result = Trial(two_reports, paths=()).result
    assert result == ({}, {}), f'パスがないときの結果は{result}です。'


@test_case(
    name="loads",
    success_message="どのファイルも、タスクの中で1回ずつ読み込まれています。",
    failure_message="どのファイルも1回ずつ、グラフを作っている間ではないときに読み込まれるはずです。",
)
def test_loads(two_reports):
    trial = Trial(two_reports)
    loaded = " ".join(sorted(trial.loaded))
    assert loaded == "mon thu tue wed", f'読み込まれたファイル：{loaded}'
    assert not trial.early, f'スケジューラが動いていないときに、{trial.early}個のファイルが読み込まれました。'


@test_case(
    name="one run",
    success_message="スケジューラの実行は1回です。",
    failure_message="スケジューラの実行は1回だけで、タスクの中から別の実行を始めることはないはずです。",
)
def test_one_run(two_reports):
    trial = Trial(two_reports)
    assert trial.runs == 1, f'スケジューラは{trial.runs}回実行されました。'
