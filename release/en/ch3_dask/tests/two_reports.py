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
        assert pair, "two_reports should return a tuple of two dicts."
        kinds = [type(report).__name__ for report in self.result]
        assert kinds == ["dict", "dict"], f"two_reports returned a {kinds[0]} and a {kinds[1]}."

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
    success_message="Both reports on the four files are right.",
    failure_message="A report on the four small files is not right.",
)
def test_values(two_reports):
    totals, largest = Trial(two_reports).result
    assert sum(totals.values()) == 19, f"The amounts in totals add up to {sum(totals.values())}."
    assert max(largest.values(), default=0) == 7, f"The reports have {largest=}."


@test_case(
    name="no paths",
    success_message="Without paths, both reports are empty.",
    failure_message="Without paths, the result should be two empty dicts.",
)
def test_no_paths(two_reports):
    result = Trial(two_reports, paths=()).result
    assert result == ({}, {}), f"Without paths, the result is {result}."


@test_case(
    name="loads",
    success_message="Each file is loaded once, by a task.",
    failure_message="Each file should be loaded once, and not while the graph is being built.",
)
def test_loads(two_reports):
    trial = Trial(two_reports)
    loaded = " ".join(sorted(trial.loaded))
    assert loaded == "mon thu tue wed", f"These files were loaded: {loaded}"
    assert not trial.early, f"{trial.early} files were loaded while the scheduler was not running."


@test_case(
    name="one run",
    success_message="The scheduler runs once.",
    failure_message="The scheduler should run once, and no task should start another run.",
)
def test_one_run(two_reports):
    trial = Trial(two_reports)
    assert trial.runs == 1, f"The scheduler ran {trial.runs} times."
