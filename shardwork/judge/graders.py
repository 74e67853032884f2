"""The graders of an assignment: loaded once by pytest, then used for one notebook after another.

pytest runs with plain assertions (no introspection of student data), without its terminal report,
and with no plugin but the one below.
"""

from __future__ import annotations

import io
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path

import numpy as np
import pytest

from shardwork.course import Limits
from shardwork.judge.dask import Dask
from shardwork.judge.dialogue import Dialogue
from shardwork.judge.faults import GraderFault
from shardwork.judge.prepared import Prepared, exercise_of, generator
from shardwork.judge.sitting import Sitting
from shardwork.judge.spark import Spark
from shardwork.judge.student import Student
from shardwork.judge.torch import Torch
from shardwork.record import CheckResult
from shardwork.sandbox.session import Session


class Graders:
    """A plugin of pytest: collects the checks, gives them their fixtures, runs them when asked.

    `broken[exercise]` says why a grader could not be loaded. The misconceptions that a grader may
    name are in `codes`, by exercise.
    """

    def __init__(self, limits: Limits, codes: Mapping[str, Sequence[str]]) -> None:
        self._limits = limits
        self._codes = codes
        self._checks: list[pytest.Function] = []
        self._work: Callable[[], None] = lambda: None
        self._now: Sitting | None = None
        self.broken: dict[str, str] = {}

    def load(self, folder: Path, exercises: Sequence[str], work: Callable[[], None]) -> None:
        """Load the graders of `exercises` that are in `folder`, and call `work` with them loaded.

        Raises GraderFault if pytest gives up.
        """
        self._work = work
        paths = [folder / f"test_{exercise}.py" for exercise in exercises]
        present = [str(path) for path in paths if path.is_file()]
        if not present:
            work()
            return
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        sys.dont_write_bytecode = True
        args = [
            *present, f"--rootdir={folder}", "-c", os.devnull, "--import-mode=importlib",
            "--assert=plain", "-p", "no:cacheprovider", "-p", "no:faulthandler", "-p",
            "no:doctest", "-p", "no:warnings", "--capture=no", "-q", "--no-header",
            "--continue-on-collection-errors",
        ]  # fmt: skip
        output = io.StringIO()
        with redirect_stdout(output):
            status = pytest.main(args, plugins=[self])
        if status in (pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR):
            raise GraderFault(f"pytest stopped with {status!r}: {output.getvalue()[-3000:]}")

    def prepare(self, seeds: Sequence[int]) -> None:
        """Compute what the loaded graders prepare for these seeds.

        What raises is left to the checks that ask for it: they are errors, and the others are not.
        """
        modules = {check.module.__name__: check.module for check in self._checks}
        for module in modules.values():
            for prepared in [v for v in vars(module).values() if isinstance(v, Prepared)]:
                for seed in seeds:
                    with suppress(Exception, SystemExit):
                        prepared(seed)

    def judge(
        self, session: Session, seeds: Sequence[int], exercises: Sequence[str]
    ) -> dict[tuple[int, str], tuple[CheckResult, ...]]:
        """Run the checks of `exercises` over a session; return them by seed and exercise."""
        sitting = self._now = Sitting(session, self._limits, self._codes)
        found: dict[tuple[int, str], list[CheckResult]] = defaultdict(list)
        for seed in seeds:
            for check in self._checks:
                exercise = exercise_of(check.path.name)
                if exercise in exercises:
                    found[seed, exercise].append(sitting.judge(check, exercise, seed))
        return {key: tuple(checks) for key, checks in found.items()}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Do the work in place of pytest's own loop; its reporting is not used."""
        self._checks = [item for item in session.items if isinstance(item, pytest.Function)]
        self._work()
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Keep a grader that exits when it is imported from ending the judge."""
        try:
            return (yield)
        except SystemExit as error:
            return pytest.CollectReport(collector.nodeid, "failed", f"SystemExit: {error}", [])

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            name = Path(report.nodeid.partition("::")[0]).name
            self.broken[exercise_of(name)] = str(report.longrepr)[-1500:]

    @pytest.fixture
    def dialogue(self) -> Iterator[Dialogue]:
        assert self._now is not None
        dialogue = self._now.dialogue()
        yield dialogue
        dialogue.close()

    @pytest.fixture
    def student(self, dialogue: Dialogue) -> Student:
        """The student's functions."""
        return Student(dialogue)

    @pytest.fixture
    def spark(self, dialogue: Dialogue) -> Spark:
        return Spark(dialogue)

    @pytest.fixture
    def dask(self, dialogue: Dialogue) -> Dask:
        return Dask(dialogue)

    @pytest.fixture
    def torch(self, dialogue: Dialogue) -> Torch:
        return Torch(dialogue)

    @pytest.fixture
    def seed(self) -> int:
        assert self._now is not None
        return self._now.seed

    @pytest.fixture
    def rng(self, seed: int, request: pytest.FixtureRequest) -> np.random.Generator:
        """Random numbers of this check: the same for the same seed, whatever else is judged."""
        return generator(seed, request.node.path.name, request.node.originalname)
