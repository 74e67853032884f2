"""The class report of one assignment: what a TA has to do, and what the class found hard.

A pure function of records, under a shell that writes one page with its pictures inside. Every
picture has its numbers in a table beside it. Statistics count graded submissions only; where there
are too few of them for a figure to mean anything, it is left out.
"""

from __future__ import annotations

import base64
import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from shardwork import picture
from shardwork.course import Assignment, Course
from shardwork.errors import NothingMatched
from shardwork.handgrading import HandGrading
from shardwork.misconceptions import Misconceptions, load_misconceptions
from shardwork.pages import N_, Language, load_language, page, show_points, write_page
from shardwork.plaintext import plain_line
from shardwork.record import Record
from shardwork.todo import ToDo, answers_to_grade, entered_by_hand, settled_by_hand, to_dos

ENOUGH_FOR_DISCRIMINATION = 20
"""With fewer graded submissions an item-rest correlation says more of chance than of the item."""

MANY_SUBMISSIONS = 40
"""From here on, times are shown as a histogram instead of a bar for each submission."""

SCORE_BINS = 10


class ExerciseFigures(NamedTuple):
    """Figures of one exercise over the graded submissions.

    `facility` is mean / max. `discrimination` is the item-rest correlation: Pearson's correlation
    of the exercise's points with the points of all other exercises; None if there are fewer than 20
    submissions, one exercise only, or no variation.
    """

    name: str
    max_points: float
    mean: float
    facility: float
    full: int
    part: int
    zero: int
    provisional: int
    discrimination: float | None


class WrittenFigures(NamedTuple):
    """Figures of one written question. `mean` is of the answers that a person has graded."""

    name: str
    max_points: float
    answered: int
    not_answered: int
    waiting: int
    graded: int
    mean: float


class WrittenState(NamedTuple):
    """One answer in the list of all; `points` is None unless a person has graded it."""

    name: str
    state: str
    points: float | None
    max_points: float


class CodeCount(NamedTuple):
    """How many submissions showed one misconception."""

    exercise: str
    code: str
    submissions: int
    share: float
    cause: str


class Bin(NamedTuple):
    """Submissions with `low` <= points < `high`; the last bin includes `high`."""

    low: float
    high: float
    submissions: int


class Row(NamedTuple):
    """One submission in the list of all."""

    student: str
    status: str
    points: float
    max_points: float
    codes: tuple[str, ...]
    seconds: float
    needs_attention: bool
    written: tuple[WrittenState, ...] = ()


class Summary(NamedTuple):
    """The points of a class: `median` and the rest are 0 if nothing was graded."""

    submissions: int
    graded: int
    refused: int
    not_final: int
    mean: float
    median: float
    max_points: float


@dataclass(frozen=True)
class Report:
    """Everything the page shows."""

    summary: Summary
    to_do: tuple[ToDo, ...]
    bins: tuple[Bin, ...]
    exercises: tuple[ExerciseFigures, ...]
    written: tuple[WrittenFigures, ...]
    codes: tuple[CodeCount, ...]
    rows: tuple[Row, ...]

    @property
    def answers_waiting(self) -> int:
        """How many answers to written questions wait for a person."""
        return sum(question.waiting for question in self.written)


STATUSES = {
    "graded": N_("graded"),
    "refused": N_("refused"),
    "incomplete": N_("not final"),
}

WRITTEN_STATES = {
    "waiting": N_("waiting"),
    "not answered": N_("not answered"),
    "graded": N_("graded by hand"),
}


def write_report(
    course: Course, assignment: str, records: Sequence[Record], language: str | None = None
) -> tuple[Path, Report]:
    """Write `report/<assignment>/index.html`; return its path and what it shows.

    `language` defaults to the course's first. What a person settled by entering points is read from
    the gradebook. Raises NothingMatched if there are no records.
    """
    if not records:
        raise NothingMatched(
            f"{course.records / assignment} has no record. "
            f"Run `shardwork grade {assignment}` first."
        )
    spoken = load_language(course, language or course.config.languages[0], assignment)
    misconceptions = load_misconceptions(course, assignment)
    by_hand = entered_by_hand(course, assignment)
    report = summarise(
        course.assignment(assignment),
        records,
        misconceptions,
        spoken,
        settled=settled_by_hand(by_hand),
        entered=by_hand,
    )
    html = report_page(report, course.assignment(assignment), course.config.title, spoken)
    path = course.report / assignment / "index.html"
    write_page(path, html)
    return path, report


def summarise(
    assignment: Assignment,
    records: Sequence[Record],
    misconceptions: Misconceptions,
    language: Language | None = None,
    *,
    settled: Mapping[str, Collection[str]] | None = None,
    entered: Mapping[str, HandGrading] | None = None,
) -> Report:
    """Return the figures of a class; records of other assignments must not be among them.

    `settled` has, by student, the exercises whose points a person entered: they are no to-do.
    `entered` is what people entered, for the written questions.
    """
    language = language or Language("en")
    by_hand = settled or {}
    every = {exercise.name for exercise in assignment.exercises}
    waiting = {
        record.student: to_dos(record, language, by_hand.get(record.student, ()))
        for record in records
        if not every <= set(by_hand.get(record.student, ()))
    }
    records = sorted(records, key=lambda record: record.student)
    graded = [record for record in records if record.status == "graded"]
    points = [record.points for record in graded]
    states = {r.student: written_states(assignment, r, entered or {}) for r in records}
    written = written_figures(assignment, list(states.values()))
    return Report(
        summary=Summary(
            submissions=len(records),
            graded=len(graded),
            refused=sum(record.status == "refused" for record in records),
            not_final=sum(_is_not_final(record) for record in records),
            mean=statistics.fmean(points) if points else 0.0,
            median=statistics.median(points) if points else 0.0,
            max_points=assignment.max_points,
        ),
        to_do=(
            *(to_do for record in records for to_do in waiting.get(record.student, ())),
            *(answers_to_grade(q.name, q.waiting, language) for q in written if q.waiting),
        ),
        bins=histogram(points, assignment.max_points),
        exercises=exercise_figures(assignment, graded),
        written=written,
        codes=count_codes(records, misconceptions, language),
        rows=tuple(
            _row(record, bool(waiting.get(record.student)), states[record.student])
            for record in records
        ),
    )


def histogram(
    points: Sequence[float], max_points: float, bins: int = SCORE_BINS
) -> tuple[Bin, ...]:
    """Return how many of `points` fall into each of `bins` equal parts of 0..`max_points`.

    The last part includes its upper end. Points outside the range count in the first or last part.
    """
    width = max_points / bins
    counts = [0] * bins
    for value in points:
        # The tolerance keeps 0.6 of 2 points in the bin that begins at 0.6 (0.6 / 0.2 is 2.999...).
        counts[min(max(math.floor(value / width + 1e-9), 0), bins - 1)] += 1
    return tuple(Bin(i * width, (i + 1) * width, count) for i, count in enumerate(counts))


def exercise_figures(
    assignment: Assignment, graded: Sequence[Record]
) -> tuple[ExerciseFigures, ...]:
    """Return the figures of each exercise, in the order of the configuration."""
    figures = []
    for exercise in assignment.exercises:
        earned: list[float] = []
        rest: list[float] = []
        provisional = 0
        for record in graded:
            result = next((r for r in record.exercises if r.name == exercise.name), None)
            if result is None:
                continue
            earned.append(result.points)
            rest.append(sum(r.points for r in record.exercises if r.name != exercise.name))
            provisional += result.provisional
        mean = statistics.fmean(earned) if earned else 0.0
        figures.append(
            ExerciseFigures(
                name=exercise.name,
                max_points=exercise.points,
                mean=mean,
                facility=mean / exercise.points,
                full=sum(value >= exercise.points for value in earned),
                part=sum(0 < value < exercise.points for value in earned),
                zero=sum(value <= 0 for value in earned),
                provisional=provisional,
                discrimination=_correlation(earned, rest)
                if len(assignment.exercises) > 1
                else None,
            )
        )
    return tuple(figures)


def written_states(
    assignment: Assignment, record: Record, entered: Mapping[str, HandGrading]
) -> tuple[WrittenState, ...]:
    """Return how far each written question of one submission is; nothing if it was refused."""
    by_hand = entered.get(record.student, HandGrading())
    answered = {question.name for question in record.written if question.answered}
    states = []
    for question in assignment.written if record.status != "refused" else ():
        points = by_hand.points.get(question.name)
        state = "graded" if points is not None else "not answered"
        if question.name in by_hand.waiting or (points is None and question.name in answered):
            state, points = "waiting", None
        states.append(WrittenState(question.name, state, points, question.points))
    return tuple(states)


def written_figures(
    assignment: Assignment, submissions: Sequence[Sequence[WrittenState]]
) -> tuple[WrittenFigures, ...]:
    """Return the figures of each written question over `submissions`."""
    figures = []
    for question in assignment.written:
        found = [one for states in submissions for one in states if one.name == question.name]
        graded = [one.points for one in found if one.points is not None]
        silent = sum(one.state == "not answered" for one in found)
        figures.append(
            WrittenFigures(
                question.name, question.points, len(found) - silent, silent,
                sum(one.state == "waiting" for one in found), len(graded),
                statistics.fmean(graded) if graded else 0.0,
            )
        )  # fmt: skip
    return tuple(figures)


def count_codes(
    records: Sequence[Record], misconceptions: Misconceptions, language: Language | None = None
) -> tuple[CodeCount, ...]:
    """Return the misconceptions found, the most frequent first; each counts once a submission."""
    language = language or Language("en")
    counts: dict[tuple[str, str], int] = {}
    for record in records:
        for exercise in record.exercises:
            for code in exercise.codes:
                counts[exercise.name, code] = counts.get((exercise.name, code), 0) + 1
    judged = sum(bool(record.exercises) for record in records)
    found = []
    for (name, code), count in counts.items():
        known = misconceptions.get(name, {}).get(code)
        cause = language.tell(known.cause) if known else ""
        found.append(CodeCount(name, code, count, count / judged, plain_line(cause, 1_000)))
    return tuple(sorted(found, key=lambda c: (-c.submissions, c.exercise, c.code)))


def report_page(
    report: Report, assignment: Assignment, course_title: str, language: Language
) -> str:
    """Return the report as HTML, its pictures inside."""
    say = language.say
    enough = report.summary.graded >= ENOUGH_FOR_DISCRIMINATION
    pictures: dict[str, str] = {}
    if report.summary.graded:
        pictures["scores"] = picture.histogram(
            [(b.low, b.high, b.submissions) for b in report.bins],
            x_label=str(say("Points")),
            y_label=str(say("Submissions")),
        )
        pictures["exercises"] = picture.stacked_shares(
            [(e.name, (e.full, e.part, e.zero)) for e in report.exercises],
            parts=(str(say("full points")), str(say("in part")), str(say("no points"))),
            means=[e.facility for e in report.exercises],
            mean_label=str(say("mean")),
            x_label=str(say("Share of graded submissions")),
        )
    if report.codes:
        pictures["codes"] = picture.counts(
            [(c.code, c.submissions) for c in report.codes], x_label=str(say("Submissions"))
        )
    pictures["times"] = _times_picture(report, language)
    return page(
        "report.html.j2",
        language,
        report=report,
        title=language.tell(assignment.title),
        course_title=language.tell(course_title),
        pictures={
            name: "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
            for name, svg in pictures.items()
        },
        statuses=STATUSES,
        written_states=WRITTEN_STATES,
        enough=enough,
        enough_number=ENOUGH_FOR_DISCRIMINATION,
        percent=_percent,
        show=show_points,
    )


def _times_picture(report: Report, language: Language) -> str:
    say = language.say
    if len(report.rows) <= MANY_SUBMISSIONS:
        slowest_first = sorted(report.rows, key=lambda row: (-row.seconds, row.student))
        return picture.counts(
            [(plain_line(row.student, 40), row.seconds) for row in slowest_first],
            x_label=str(say("Seconds")),
        )
    longest = max(row.seconds for row in report.rows) or 1.0
    bins = histogram([row.seconds for row in report.rows], longest, 12)
    return picture.histogram(
        [(b.low, b.high, b.submissions) for b in bins],
        x_label=str(say("Seconds")),
        y_label=str(say("Submissions")),
    )


def _is_not_final(record: Record) -> bool:
    return record.status == "incomplete" or any(e.provisional for e in record.exercises)


def _row(record: Record, needs_attention: bool, written: tuple[WrittenState, ...]) -> Row:
    return Row(
        plain_line(record.student, 200),
        record.status,
        record.points,
        record.max_points,
        record.codes,
        record.timing.total_s,
        needs_attention,
        written,
    )


def _correlation(item: Sequence[float], rest: Sequence[float]) -> float | None:
    if len(item) < ENOUGH_FOR_DISCRIMINATION:
        return None
    try:
        return statistics.correlation(item, rest)
    except statistics.StatisticsError:  # one of the two does not vary
        return None


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"
