"""3.3 `two_reports`: every file loaded once, in a task, for two reports that come out of one run.

`load` is an instrument, so how often each file was loaded is known. Whether that was inside a task,
how often Dask computed and what its graphs carried are claims of probes.
"""

from __future__ import annotations

from collections import Counter

from shardwork.grading import Instrument, Refusal, blame

Report = dict[str, int]
CODES = 12_000
REGIONS = ["Hokkaidō", "Tōhoku", "Kantō", "Chūbu", "Kansai", "Chūgoku", "Shikoku", "Kyūshū"]
RARE = "Okinawa"
HEAVY_BYTES = 60_000
"""The table takes 130 kB pickled; a task of the reference 2 kB, and of a bag 3 kB."""


class Files(Instrument):
    """Loads the sales of a file, and notes how many computations ran at that moment."""

    def __init__(self, sales: dict[str, list[tuple[str, int]]]) -> None:
        self.sales = sales
        self.loads: Counter[str] = Counter()
        self.eager = self.nested = 0
        self.tasks: Counter[int] = Counter()

    def call(self, running: int, task: int, path: object) -> list[tuple[str, int]]:
        if not isinstance(path, str) or path not in self.sales:
            raise Refusal("load takes one of the paths")
        self.loads[path] += 1
        self.eager += running == 0
        self.nested += running > 1
        self.tasks[task] += task > 0
        return self.sales[path]


def report(files: list[list[tuple[str, int]]], table: dict[str, str]) -> tuple[Report, Report]:
    totals: Report = {}
    largest: Report = {}
    for sales in files:
        for code, amount in sales:
            if code in table:
                region = table[code]
                totals[region] = totals.get(region, 0) + amount
                largest[region] = max(largest.get(region, 0), amount)
    return totals, largest


class Trial:
    """One call of the student's function on random files."""

    def __init__(self, student, dask, rng, n: int, *, rare: bool = True) -> None:
        marks = rng.permutation(CODES)
        codes = [f"c{mark:05d}" for mark in marks]
        self.table = {code: REGIONS[i % len(REGIONS)] for i, code in enumerate(codes)}
        self.table[codes[0]] = RARE
        days = rng.choice(9999, size=n, replace=False)
        self.paths = [f"sales/{day:04d}.csv" for day in days]
        sales = {path: self.draw(rng, codes) for path in self.paths}
        if n > 2:
            sales[self.paths[1]] = []
            if rare:  # a region of one file only, whose only sale is in it
                sales[self.paths[-1]].append((codes[0], int(rng.integers(1, 9))))
        self.files = Files(sales)
        load = dask.in_tasks(self.files, "load")
        with dask.watch() as self.work, dask.watch_graphs(HEAVY_BYTES) as self.runs:
            self.result = student.value(
                "two_reports", self.paths, load, self.table, as_=tuple[Report, Report]
            )

    @staticmethod
    def draw(rng, codes: list[str]) -> list[tuple[str, int]]:
        picked = rng.integers(1, CODES, size=int(rng.integers(20, 60)))
        known = [(codes[i], int(rng.integers(1, 1000))) for i in picked]
        unknown = [(f"x{i}", int(rng.integers(5000, 9000))) for i in range(3)]
        return [*unknown[:2], *known, *unknown[2:]]

    def require_loads(self) -> None:
        """What was never loaded shows nothing."""
        assert self.files.loads, blame(because="load was never called.")


def test_values(student, dask, rng):
    """Both reports are right, with empty files, unknown codes and regions of one file too."""
    for n in (int(rng.integers(6, 14)), 1):
        trial = Trial(student, dask, rng, n)
        files = [trial.files.sales[path] for path in trial.paths]
        totals, largest = report(files, trial.table)
        assert trial.result != (largest, totals), blame(because="The two reports are swapped.")
        assert trial.result == (totals, largest), blame(
            because="A report is wrong.", totals=trial.result[0] == totals,
            largest=trial.result[1] == largest, n=n,
        )  # fmt: skip
    nothing = Trial(student, dask, rng, 0)
    assert nothing.result == ({}, {}), blame(because="Without paths both reports should be empty.")


def test_one_load_per_file(student, dask, rng):
    """Every file is loaded exactly once for both reports together."""
    trial = Trial(student, dask, rng, int(rng.integers(6, 14)))
    trial.require_loads()
    loads, n = trial.files.loads, len(trial.paths)
    found = {"loads": loads.total(), "n": n, "computes": trial.work.computes}
    assert set(loads) == set(trial.paths), blame(because="Some files were never loaded.", **found)
    twice = loads == Counter(trial.paths * 2)
    apart = trial.work.computes - trial.work.nested_computes == 1
    assert loads.total() == n, blame(
        ("LOADS_APART" if apart else "TWO_COMPUTES") if twice else None, **found,
        because="" if twice else "Some files were loaded more than once.",
    )  # fmt: skip


def test_loads_in_tasks(student, dask, rng):
    """Files are loaded by tasks, each in one of its own, and not while the graph is built."""
    trial = Trial(student, dask, rng, int(rng.integers(6, 14)))
    trial.require_loads()
    n, files = len(trial.paths), trial.files
    assert not files.eager, blame("EAGER_ARG", loads=files.eager, n=n)
    tasks = sum(run.tasks for run in trial.runs)
    shared = max(files.tasks.values())
    assert files.nested or (tasks >= n and shared <= 1), blame(
        because="Several files are loaded in one task.", tasks=tasks, n=n, loads_in_a_task=shared
    )


def test_one_run(student, dask, rng):
    """Dask computes once, and no task computes another graph."""
    trial = Trial(student, dask, rng, int(rng.integers(6, 14)))
    trial.require_loads()
    work = trial.work
    runs = work.computes - work.nested_computes
    loads, n = trial.files.loads.total(), len(trial.paths)
    found = {"computes": work.computes, "nested": work.nested_computes, "loads": loads, "n": n}
    assert not work.nested_computes, blame("NESTED_COMPUTE", **found)
    twice, first = loads >= 2 * n, runs == 2 and loads == n
    assert runs == 1, blame(
        "TWO_COMPUTES" if twice else "COMMON_PART_FIRST" if first else None, **found,
        because="" if twice or first
        else "Dask should compute once; it computed {computes} times.",
    )  # fmt: skip
    tasks = sum(run.tasks for run in trial.runs)
    # One run whose results are the files: what would be shared is done outside of the graph.
    assert trial.files.eager or tasks != n, blame(
        because="All tasks load files, so the reports are put together outside of the graph.",
        tasks=tasks, n=n,
    )  # fmt: skip


def test_table_once(student, dask, rng):
    """The graph holds the table at most once, whatever the number of files."""
    trial = Trial(student, dask, rng, int(rng.integers(6, 14)))
    trial.require_loads()
    heavy = max((run.heavy for run in trial.runs), default=0)
    assert trial.runs, blame(because="Dask computed nothing.")
    assert heavy <= 1, blame("EMBEDDED_TABLE", copies=heavy, n=len(trial.paths))
