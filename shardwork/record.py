"""The record of one graded submission: what was judged, what was found, what it earns.

A record is a closed, versioned structure, written once and atomically as JSON; `docs/records.md`
describes it. Everything behind it (gradebook, feedback, report) is a pure function of records.
"""

from __future__ import annotations

import enum
from typing import Literal

import msgspec

SCHEMA = "shardwork.record/2"
ADDED_PREFIX = "added-"
"""Ids of code cells that a student added to the notebook begin so."""


class Verdict(enum.Enum):
    """What the judge says of one check."""

    PASSED = "passed"
    FAILED = "failed"  # the student's
    ERROR = "error"  # ours, or the platform's: a to-do for the TA, never a zero
    SKIPPED = "skipped"  # not tried, for a reason that is the student's (`message` says which)


class Cause(enum.Enum):
    """How a check came to fail, where it is not simply that an observation was wrong."""

    OBSERVED = "observed"  # the answer ran, and what it did is not what was asked
    UNANSWERED = "unanswered"  # the starter is still in place
    NOT_DEFINED = "not_defined"  # no such function after the notebook has run
    WRONG_TYPE = "wrong_type"  # it returned something of another kind than asked
    RAISED = "raised"  # it raised an exception
    NEVER_RETURNED = "never_returned"  # it was still running at the limit
    DIED = "died"  # its process ended


Evidence = dict[str, int | float | str | bool | None]


class CheckResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The verdict of one check, with why.

    `line` is the check's docstring, the line a student reads (a msgid of the assignment's
    catalogue). `message` may be shown to the student: it holds no hidden input and no engine path.
    `detail` is for the TA. `code` names the misconception, if one was found.
    """

    name: str
    line: str
    verdict: Verdict
    cause: Cause | None = None
    code: str | None = None
    message: str = ""
    detail: str = ""
    evidence: Evidence = {}
    seconds: float = 0.0


class ExerciseResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All checks of one exercise, and what they earn.

    `key` is the content address of everything that the verdicts depend on. `provisional` is true
    while a check has the verdict `error`: the points then count what is known so far.
    """

    name: str
    key: str
    points: float
    max_points: float
    checks: tuple[CheckResult, ...]
    provisional: bool = False

    @property
    def codes(self) -> tuple[str, ...]:
        """The misconceptions named, each once, in the order of the checks."""
        return tuple(dict.fromkeys(c.code for c in self.checks if c.code is not None))


class WrittenAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One written question, and whether there is anything to grade by hand.

    Its points are a person's, and stand in the gradebook and nowhere else.
    """

    name: str
    max_points: float
    answered: bool


class CellOutcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happened when one code cell of the rebuilt notebook ran in the sandbox.

    `text` is what the cell printed (bounded); `error` is the exception as a student may see it.
    """

    cell_id: str
    grade_id: str | None
    status: Literal["ran", "raised", "never_returned", "died", "not_run"]
    text: str = ""
    error: str = ""


class NoticeKind(enum.Enum):
    """Something about the notebook that was handed in that a person should know."""

    CELL_MISSING = "cell_missing"
    CELL_DUPLICATED = "cell_duplicated"
    ANSWER_CUT = "answer_cut"  # a written answer was longer than is read
    ANSWER_ELSEWHERE = "answer_elsewhere"  # its cell is empty, and prose was added beside it
    CELL_RESTORED = "cell_restored"  # a locked or provided cell had been edited
    METADATA_EDITED = "metadata_edited"  # points, grade flags and the like


class Notice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One remark of ingest. A flagged one is on the TA's to-do list."""

    kind: NoticeKind
    subject: str
    text: str
    flagged: bool = False


class Timing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Wall seconds by phase; indicative only, never a criterion."""

    sandbox_s: float = 0.0
    notebook_s: float = 0.0
    judge_s: float = 0.0
    total_s: float = 0.0


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One graded (or refused) submission."""

    assignment: str
    student: str
    status: Literal["graded", "refused", "incomplete"]
    """`refused`: nothing to judge (`reason` says why). `incomplete`: an error of ours."""
    points: float
    max_points: float
    """Both of the exercises; a written question is not judged."""
    submission_digest: str
    graded_at: str
    """UTC, ISO 8601."""
    language: str
    isolation: str
    """The level that the sandboxes of its judging had; see `protections`."""
    seed: int
    reason: str = ""
    sentence: str = ""
    """Of a refusal: why, for the student (a msgid whose placeholders are filled from `values`)."""
    values: Evidence = {}
    exercises: tuple[ExerciseResult, ...] = ()
    written: tuple[WrittenAnswer, ...] = ()
    notices: tuple[Notice, ...] = ()
    cells: tuple[CellOutcome, ...] = ()
    versions: dict[str, str] = {}
    timing: Timing = Timing()
    protections: tuple[str, ...] = ()
    """What the level `isolation` consisted of on the machine that judged last."""
    schema: str = SCHEMA

    @property
    def codes(self) -> tuple[str, ...]:
        """The misconceptions named, each once."""
        return tuple(dict.fromkeys(code for e in self.exercises for code in e.codes))

    @property
    def needs_attention(self) -> bool:
        """Whether the TA has something to do: an error of ours, a refusal, or a flagged notice."""
        return (
            self.status != "graded"
            or any(e.provisional for e in self.exercises)
            or any(n.flagged for n in self.notices)
        )
