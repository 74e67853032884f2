"""The pytest plugin: fixtures for graders, and verdicts from what happened.

pytest runs with plain assertions (no introspection of student data), without its terminal report,
and with no plugin but this one.
"""

from __future__ import annotations

import traceback
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from shardwork.judge.blame import Blame
from shardwork.judge.dialogue import Dialogue
from shardwork.judge.faults import InputsFailed, SandboxLost, StudentFault
from shardwork.judge.student import Dask, Spark, Student, Torch
from shardwork.record import Cause, CheckResult, Verdict
from shardwork.sandbox.session import SandboxFailed, Session

MAX_LOST = 2
"""A submission that hung or died this often in one exercise is not tried with its other checks."""


class JudgePlugin:
    """Judge one variant of one session: all collected checks, for each seed.

    `results[(seed, exercise)]` fills up in the order of the checks; `broken[exercise]` says why a
    grader module could not be collected.
    """

    def __init__(self, session: Session, call_s: float, seeds: tuple[int, ...],
                 codes: Mapping[str, Sequence[str]]) -> None:
        self._session = session
        self._call_s = call_s
        self._seeds = seeds
        self._codes = codes
        self._lost: Counter[str] = Counter()
        self.results: dict[tuple[int, str], list[CheckResult]] = defaultdict(list)
        self.broken: dict[str, str] = {}

    # collection -----------------------------------------------------------------------------------

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        metafunc.fixturenames.append("seed")
        metafunc.parametrize("seed", self._seeds, ids=str, scope="session")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            name = Path(report.nodeid.partition("::")[0]).name
            self.broken[exercise_of(name)] = str(report.longrepr)[-1500:]

    # fixtures -------------------------------------------------------------------------------------

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

    # running --------------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Function) -> bool:
        """Run one check and keep its verdict; pytest's own reporting is not used."""
        exercise = exercise_of(item.path.name)
        seed = item.callspec.params["seed"]
        self.results[seed, exercise].append(self._judge(item, exercise))
        return True

    def _judge(self, item: pytest.Function, exercise: str) -> CheckResult:
        name, line = item.originalname, first_line(item.obj.__doc__) or item.originalname
        if self._lost[exercise] >= MAX_LOST:
            return CheckResult(
                name, line, Verdict.SKIPPED,
                message="Not tried: your answer had already hung or ended its process {times} times.",
                evidence={"times": MAX_LOST},
            )  # fmt: skip
        result = self._attempt(item, name, line, exercise)
        if result is None:  # its inputs could not be made: once more, in a fresh sandbox
            self._session.close_sandbox()
            result = self._attempt(item, name, line, exercise, last=True)
            assert result is not None
        if result.cause in (Cause.NEVER_RETURNED, Cause.DIED):
            self._lost[exercise] += 1
        return result

    def _attempt(self, item: pytest.Function, name: str, line: str, exercise: str, *,
                 last: bool = False) -> CheckResult | None:
        def result(verdict: Verdict, fault: StudentFault | None = None, **more: object) -> CheckResult:
            if fault is not None:
                more = {"cause": fault.cause, "message": fault.message, "detail": fault.detail,
                        "evidence": fault.evidence}  # fmt: skip
            return CheckResult(name, line, verdict, **more)  # type: ignore[arg-type]

        if self._session.seconds_left() <= 0:
            return result(
                Verdict.SKIPPED, message="Not tried: the time for the whole notebook was used up."
            )
        try:
            if not self._session.alive:
                self._session.open()
            if not self._session.alive:
                return result(
                    Verdict.FAILED, cause=Cause.DIED,
                    message="Your notebook could not be run: its cells kept ending the process.",
                )  # fmt: skip
            _run(item)
        except InputsFailed as error:
            return result(Verdict.ERROR, detail=str(error)) if last else None
        except StudentFault as fault:
            return result(Verdict.FAILED, fault)
        except AssertionError as error:
            return self._asserted(name, line, exercise, error)
        except SandboxFailed as error:
            return result(Verdict.ERROR, detail=str(error))
        except Exception as error:
            return result(Verdict.ERROR, detail="".join(traceback.format_exception(error))[-4000:])
        return result(Verdict.PASSED)

    def _asserted(self, name: str, line: str, exercise: str, error: AssertionError) -> CheckResult:
        said = error.args[0] if error.args else None
        why = said if isinstance(said, Blame) else Blame(None, "", {})
        if why.code is not None and why.code not in self._codes.get(exercise, ()):
            return CheckResult(
                name, line, Verdict.ERROR,
                detail=f"the grader names {why.code!r}, which misconceptions.toml lacks for {exercise}",
            )  # fmt: skip
        where = traceback.extract_tb(error.__traceback__)[-1]
        return CheckResult(
            name, line, Verdict.FAILED, Cause.OBSERVED, why.code, why.because,
            detail=f"{Path(where.filename).name}:{where.lineno}" + (
                f": {said}" if said is not None and not isinstance(said, Blame) else ""
            ),
            evidence=why.evidence,
        )  # fmt: skip


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


__all__ = ["JudgePlugin", "SandboxLost", "exercise_of", "first_line", "results_of"]
