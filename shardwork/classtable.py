"""The result of a batch as a table and as JSON."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from rich.markup import escape
from rich.table import Table

from shardwork.batch import Graded
from shardwork.console import result_console
from shardwork.course import Course
from shardwork.plaintext import plain_line
from shardwork.progress import Outcome
from shardwork.record import Cause, Record, Verdict

SCHEMA = "shardwork.grade/1"

_CAUSES = {
    Cause.UNANSWERED: "not answered",
    Cause.NOT_DEFINED: "not defined",
    Cause.WRONG_TYPE: "wrong type",
    Cause.RAISED: "raised",
    Cause.NEVER_RETURNED: "never returned",
    Cause.DIED: "its process ended",
}


class Line(msgspec.Struct, frozen=True):
    """One submission in the JSON of `shardwork grade`."""

    student: str
    status: str
    points: float | None
    max_points: float
    codes: tuple[str, ...]
    judged: bool
    seconds: float
    problem: str


class Summary(msgspec.Struct, frozen=True):
    """The JSON of `shardwork grade`, one object for each assignment."""

    assignment: str
    submissions: tuple[Line, ...]
    problems: tuple[str, ...]
    report: str | None
    answers_waiting: int
    seconds: float
    phases: Mapping[str, float]
    schema: str = SCHEMA


def encode(outcome: Outcome) -> str:
    """Return the outcome as one line of JSON."""
    report = outcome.handed_back.report
    return msgspec.json.encode(
        Summary(
            outcome.assignment,
            tuple(_line(one) for one in outcome.graded),
            tuple(plain_line(problem, 2_000) for problem in outcome.handed_back.problems),
            str(report) if report else None,
            outcome.handed_back.answers_waiting,
            round(outcome.seconds, 2),
            outcome.phases,
        )
    ).decode()


def print_class(
    course: Course, outcome: Outcome, handed_in: Mapping[str, str] | None = None
) -> None:
    """Print the table of a class, what needs a person, and the paths to open.

    `handed_in` adds a column with what each student is known to have handed in (a made-up class).
    """
    console = result_console()
    table = Table(title=outcome.assignment, title_justify="left")
    table.add_column("student")
    if handed_in:
        table.add_column("handed in")
    table.add_column("points", justify="right")
    table.add_column("named")
    table.add_column("seconds", justify="right")
    for one in outcome.graded:
        cells = [_cell(one.student, 40)]
        if handed_in:
            cells.append(_cell(handed_in.get(one.student, "")))
        record = one.record
        points = "-" if record is None else f"{record.points:g} of {record.max_points:g}"
        seconds = f"{record.timing.total_s:.1f}" if record and one.judged else "-"
        table.add_row(*cells, points, _cell(named(one)), seconds)
    console.print(table)
    for one in outcome.graded:
        if one.record is None:
            console.print(
                f"not graded: {plain_line(one.problem, 2_000)}", markup=False, highlight=False
            )
    for problem in outcome.handed_back.problems:
        console.print(f"problem: {plain_line(problem, 2_000)}", markup=False, highlight=False)
    judged = sum(one.judged for one in outcome.graded)
    console.print(
        f"Submissions: {len(outcome.graded)}, of which judged now: {judged}, "
        f"in {outcome.seconds:.0f} s.",
        highlight=False,
    )
    if waiting := outcome.handed_back.answers_waiting:
        console.print(
            f"Written answers to grade by hand in formgrader: {waiting}.", highlight=False
        )
    if outcome.handed_back.report is not None:
        paths = [outcome.handed_back.report, course.feedback, course.gradebook]
        for what, path in zip(("report", "feedback", "gradebook"), paths, strict=True):
            console.print(f"{what}: {path}", highlight=False, markup=False, soft_wrap=True)


def named(one: Graded) -> str:
    """Say in a few words what was found: codes first, else what else went wrong."""
    if one.record is None:
        return "not graded"
    if one.record.status == "refused":
        return "refused"
    if one.record.codes:
        return ", ".join(one.record.codes)
    return ", ".join(dict.fromkeys(_words(one.record)))


def _cell(text: str, limit_chars: int = 400) -> str:
    """Make a text fit for a table, where rich would read `[red]` or `[link=...]` as markup."""
    return escape(plain_line(text, limit_chars))


def _words(record: Record) -> list[str]:
    checks = [check for exercise in record.exercises for check in exercise.checks]
    if any(check.verdict is Verdict.ERROR for check in checks):
        return ["to do: could not be judged"]
    causes = [c.cause for c in checks if c.verdict is Verdict.FAILED]
    return [_CAUSES.get(cause, "failed") if cause else "failed" for cause in causes]


def _line(one: Graded) -> Line:
    record = one.record
    if record is None:
        problem = plain_line(one.problem, 2_000)
        student = plain_line(one.student, 200)
        return Line(student, "not graded", None, 0.0, (), one.judged, 0.0, problem)
    return Line(
        plain_line(one.student, 200),
        record.status,
        record.points,
        record.max_points,
        tuple(plain_line(code, 80) for code in record.codes),
        one.judged,
        record.timing.total_s,
        plain_line(record.reason, 2_000),
    )
