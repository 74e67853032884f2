"""The pytest plugin: fixtures for graders, and verdicts from what happened.

pytest runs with plain assertions (no introspection of student data), without its terminal report,
and with no plugin but this one.
"""

from __future__ import annotations

import functools
import time
import traceback
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from shardwork.judge.blame import Blame
from shardwork.judge.dialogue import Dialogue
from shardwork.judge.faults import InputsFailed, StudentFault
from shardwork.judge.student import Dask, Spark, Student, Torch
from shardwork.record import Cause, CheckResult, Evidence, Verdict
from shardwork.sandbox.session import SandboxFailed, Session

MAX_LOST = 2
"""A submission that hung or died this often in one exercise is not tried with its other checks."""


MAX_DETAIL_CHARS = 4000
# pytest's own ways out of a test. A grader says what it found by asserting, so each is an error.
_WAYS_OUT = (pytest.skip.Exception, pytest.fail.Exception, pytest.xfail.Exception)


class NotTried(Exception):
    """A check is not run, for a reason that is the student's."""

    def __init__(self, message: str, evidence: Evidence) -> None:
        super().__init__(message)
        self.message = message
        self.evidence = evidence


class JudgePlugin:
    """Judge one variant of one session: all collected checks, for each seed.

    `results[(seed, exercise)]` fills up in the order of the checks; `broken[exercise]` says why a
    grader module could not be collected.
    """

    def __init__(
        self,
        session: Session,
        call_s: float,
        seeds: tuple[int, ...],
        codes: Mapping[str, Sequence[str]],
    ) -> None:
        self._session = session
        self._call_s = call_s
        self._seeds = seeds
        self._codes = codes
        self._lost: Counter[str] = Counter()
        self.results: dict[tuple[int, str], list[CheckResult]] = defaultdict(list)
        self.broken: dict[str, str] = {}

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        metafunc.fixturenames.append("seed")
        metafunc.parametrize("seed", self._seeds, ids=str, scope="session")

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
    def dialogue(self) -> Dialogue:
        return Dialogue(self._session, self._call_s)

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
    def rng(self, seed: int, request: pytest.FixtureRequest) -> np.random.Generator:
        """Random numbers of this check: the same for the same seed, whatever else is judged."""
        check = zlib.crc32(request.node.originalname.encode())
        exercise = zlib.crc32(exercise_of(request.node.path.name).encode())
        return np.random.default_rng([seed, exercise, check])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Function) -> bool:
        """Run one check and keep its verdict; pytest's own reporting is not used."""
        exercise = exercise_of(item.path.name)
        seed = int(str(item.callspec.params["seed"]))
        self.results[seed, exercise].append(self._judge(item, exercise))
        return True

    def _judge(self, item: pytest.Function, exercise: str) -> CheckResult:
        name, line = item.originalname, first_line(item.obj.__doc__) or item.originalname
        began = time.monotonic()
        result = functools.partial(CheckResult, name, line)
        try:
            found = self._attempt(item, exercise, result)
        except InputsFailed:  # once more, in a fresh sandbox
            self._session.close_sandbox()
            try:
                found = self._attempt(item, exercise, result)
            except InputsFailed as error:
                found = _unmade(error, result)
        if found.cause in (Cause.NEVER_RETURNED, Cause.DIED):
            self._lost[exercise] += 1
        return msgspec.structs.replace(found, seconds=round(time.monotonic() - began, 3))

    def _attempt(
        self, item: pytest.Function, exercise: str, result: Callable[..., CheckResult]
    ) -> CheckResult:
        """Run a check once. Raises InputsFailed if its inputs could not be made."""
        try:
            self._make_ready(exercise)
            _run(item)
            found = result(Verdict.PASSED)
        except InputsFailed:
            raise
        except NotTried as reason:
            found = result(Verdict.SKIPPED, message=reason.message, evidence=reason.evidence)
        except StudentFault as fault:
            found = result(
                Verdict.FAILED,
                fault.cause,
                message=fault.message,
                detail=fault.detail,
                evidence=fault.evidence,
            )
        except AssertionError as error:
            found = self._asserted(exercise, error, result)
        except SandboxFailed as error:
            found = result(Verdict.ERROR, detail=str(error))
        except (Exception, SystemExit, *_WAYS_OUT) as error:
            detail = "".join(traceback.format_exception(error))[-MAX_DETAIL_CHARS:]
            found = result(Verdict.ERROR, detail=detail)
        return found

    def _make_ready(self, exercise: str) -> None:
        """See to it that a sandbox is open. Raises NotTried, StudentFault or SandboxFailed."""
        if self._lost[exercise] >= MAX_LOST:
            raise NotTried(
                "Not tried: your answer had already hung or ended its process {times} times.",
                {"times": MAX_LOST},
            )
        if self._session.seconds_left() <= 0:
            raise NotTried("Not tried: the time for the whole notebook was used up.", {})
        if not self._session.alive:
            self._session.open()
        if not self._session.alive:
            raise StudentFault(
                Cause.DIED, "Your notebook could not be run: its cells kept ending the process."
            )

    def _asserted(
        self, exercise: str, error: AssertionError, result: Callable[..., CheckResult]
    ) -> CheckResult:
        said = error.args[0] if error.args else None
        why = said if isinstance(said, Blame) else Blame(None, "", {})
        if why.code is not None and why.code not in self._codes.get(exercise, ()):
            return result(
                Verdict.ERROR,
                detail=f"the grader names {why.code!r}, which misconceptions.toml does not have "
                f"for {exercise}",
            )
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = f": {said}" if said is not None and not isinstance(said, Blame) else ""
        return result(
            Verdict.FAILED,
            Cause.OBSERVED,
            why.code,
            why.because,
            f"{Path(where.filename).name}:{where.lineno}{text}",
            why.evidence,
        )


def _unmade(error: InputsFailed, result: Callable[..., CheckResult]) -> CheckResult:
    """Judge a check whose inputs could not be made in a fresh sandbox either."""
    if not error.after_call:
        return result(Verdict.ERROR, detail=str(error))
    return result(
        Verdict.FAILED,
        Cause.DIED,
        message="After your function had run, nothing worked in its process any more.",
        detail=str(error),
    )


def _run(item: pytest.Function) -> None:
    """Set up the fixtures of a check, run it, and tear them down."""
    try:
        item.session._setupstate.setup(item)
        item.runtest()
    finally:
        item.session._setupstate.teardown_exact(None)


def exercise_of(file_name: str) -> str:
    """Return the exercise that a grader module is for: `test_tree.py` is for `tree`."""
    return Path(file_name).stem.removeprefix("test_")


def first_line(docstring: str | None) -> str:
    """Return the first paragraph of a docstring on one line: what the student reads."""
    return " ".join((docstring or "").strip().partition("\n\n")[0].split())


def results_of(plugin: JudgePlugin) -> Iterator[tuple[int, str, tuple[CheckResult, ...]]]:
    """Yield (seed, exercise, checks) in the order judged."""
    for (seed, exercise), checks in plugin.results.items():
        yield seed, exercise, tuple(checks)
