"""One sitting of the graders over one notebook: every check becomes a verdict."""

from __future__ import annotations

import functools
import reprlib
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from shardwork.course import Limits
from shardwork.judge.blame import Blame
from shardwork.judge.dialogue import Dialogue, Ledger
from shardwork.judge.faults import InputsFailed, StudentFault
from shardwork.plaintext import plain, plain_line
from shardwork.record import Cause, CheckResult, Evidence, Verdict
from shardwork.sandbox.session import SandboxFailed, Session

MAX_LOST = 2
"""A submission that hung or died this often in one exercise is not tried with its other checks."""


MAX_DETAIL_CHARS = 4000
MAX_EVIDENCE = 32
MAX_EVIDENCE_CHARS = 400
_INT64 = range(-(2**63), 2**63)
# pytest's own ways out of a test. A grader says what it found by asserting, so each is an error.
_WAYS_OUT = (pytest.skip.Exception, pytest.fail.Exception, pytest.xfail.Exception)


class NotTried(Exception):
    """A check is not run, for a reason that is the student's."""

    def __init__(self, message: str, evidence: Evidence) -> None:
        super().__init__(message)
        self.message = message
        self.evidence = evidence


class Sitting:
    """The checks of some solutions in one session, and what has become of them so far.

    `seed` is the root of the random inputs that are drawn now.
    """

    def __init__(
        self, session: Session, limits: Limits, codes: Mapping[str, Sequence[str]]
    ) -> None:
        self._session = session
        self._limits = limits
        self._codes = codes
        self._granted: set[tuple[int, str]] = set()
        self._lost: Counter[str] = Counter()
        self._ledger = Ledger()
        self._judged_in: dict[int, set[str]] = defaultdict(set)
        """The exercises judged so far in each sandbox, by the number of its start."""
        self.seed = 0

    def dialogue(self) -> Dialogue:
        """Return what a check talks to the sandbox through."""
        return Dialogue(self._session, self._limits.call_s, self._ledger)

    def judge(self, item: pytest.Function, exercise: str, seed: int) -> CheckResult:
        """Run one check and return its verdict; a check that broke its sandbox may run twice."""
        self.seed = seed
        if (seed, exercise) not in self._granted:  # no exercise lives on another's time
            self._granted.add((seed, exercise))
            self._session.grant(self._limits.exercise_s)
        return self._judge(item, exercise)

    def _judge(self, item: pytest.Function, exercise: str) -> CheckResult:
        name, line = item.originalname, first_line(item.obj.__doc__) or item.originalname
        began = time.monotonic()
        result = functools.partial(CheckResult, name, line)
        found = self._first_attempt(item, exercise, result)
        if found is None:  # once more, in a fresh sandbox
            self._session.close_sandbox()
            try:
                found = self._attempt(item, exercise, result)
            except InputsFailed as error:
                found = _unmade(error, result)
        if found.cause in (Cause.NEVER_RETURNED, Cause.DIED):
            self._lost[exercise] += 1
        return msgspec.structs.replace(found, seconds=round(time.monotonic() - began, 3))

    def _first_attempt(
        self, item: pytest.Function, exercise: str, result: Callable[..., CheckResult]
    ) -> CheckResult | None:
        """Run a check; None if what another exercise left behind may have spoiled it.

        Inputs could not be made; or the sandbox died or disturbed the connection, and a thread that
        a call for another exercise had started may have done that.
        """
        try:
            found = self._attempt(item, exercise, result)
        except InputsFailed:
            return None
        shared = bool(self._judged_in[self._session.starts] - {exercise})
        return None if found.cause is Cause.DIED and shared else found

    def _attempt(
        self, item: pytest.Function, exercise: str, result: Callable[..., CheckResult]
    ) -> CheckResult:
        """Run a check once. Raises InputsFailed if its inputs could not be made."""
        try:
            self._make_ready(exercise)
            self._judged_in[self._session.starts].add(exercise)
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
                evidence=_evidence(fault.evidence),
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
            raise NotTried("Not tried: the time for this exercise was used up.", {})
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
        text = f": {_said(said)}" if said is not None and not isinstance(said, Blame) else ""
        return result(
            Verdict.FAILED,
            Cause.OBSERVED,
            why.code,
            why.because,
            f"{Path(where.filename).name}:{where.lineno}{text}",
            _evidence(why.evidence),
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


def _said(value: object) -> str:
    """Return what an assertion said, which may be an observation of any size or kind."""
    try:
        return plain(value if isinstance(value, str) else reprlib.repr(value), MAX_DETAIL_CHARS)
    except Exception as error:
        return f"({type(value).__name__}: {type(error).__name__})"


def _evidence(evidence: Evidence) -> Evidence:
    """Return evidence as a record can hold it, whatever observation a grader put into it."""
    return {name: _bounded(value) for name, value in list(evidence.items())[:MAX_EVIDENCE]}


def _bounded(value: object) -> int | float | str | bool | None:
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int) and value in _INT64:
        return value
    return plain_line(value if isinstance(value, str) else _said(value), MAX_EVIDENCE_CHARS)


def _run(item: pytest.Function) -> None:
    """Set up the fixtures of a check, run it, and tear them down."""
    item._initrequest()  # the fixtures of an earlier run are not this one's
    try:
        item.session._setupstate.setup(item)
        item.runtest()
    finally:
        item.session._setupstate.teardown_exact(None)


def first_line(docstring: str | None) -> str:
    """Return the first paragraph of a docstring on one line: what the student reads."""
    return " ".join((docstring or "").strip().partition("\n\n")[0].split())
