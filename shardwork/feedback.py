"""The feedback page of one submission: a pure function of its record, and the writing of pages.

A page stands alone: no script, no other resource, readable in print and by a screen reader. All
text that came out of a student's notebook is bounded, made visible and escaped. Of a check, a
student sees its line, the verdict, the message and the misconception; `detail` and `evidence` are
the TA's.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jinja2
from markupsafe import Markup, escape

from shardwork.catalogue import load_catalogue
from shardwork.course import Assignment, Course
from shardwork.gradebook import HandGrading, read_hand_grading
from shardwork.misconceptions import Misconception, Misconceptions, load_misconceptions
from shardwork.plaintext import filled, plain, plain_line
from shardwork.record import (
    ADDED_PREFIX,
    Cause,
    CellOutcome,
    CheckResult,
    NoticeKind,
    Record,
    Verdict,
)
from shardwork.recordfile import check_student, read_record, record_path

DOMAIN = "shardwork"

OUTPUT_LIMIT_CHARS = 4_000
OUTPUT_LIMIT_LINES = 60
MESSAGE_LIMIT_CHARS = 1_500


class Translations(Protocol):
    """Anything that translates: a catalogue, or gettext's own class."""

    def gettext(self, msgid: str) -> str: ...


class English:
    """The texts as they are written."""

    def gettext(self, msgid: str) -> str:
        return msgid


def N_(msgid: str) -> str:
    """Mark a text for translation where it is written but not yet shown."""
    return msgid


@dataclass(frozen=True)
class Language:
    """One language of a page: its code, the engine's sentences, and the assignment's texts."""

    code: str
    engine: Translations = field(default_factory=English)
    assignment: Translations = field(default_factory=English)

    def say(self, msgid: str, **values: object) -> Markup:
        """Return the engine's sentence in this language, its named placeholders filled, escaped.

        A translation with a placeholder that does not exist falls back to English.
        """
        for text in (self.engine.gettext(msgid), msgid):
            try:
                return escape(text).format(**values)
            except (KeyError, IndexError, ValueError):
                continue
        return escape(msgid)

    def tell(self, text: str, values: Mapping[str, object] | None = None) -> str:
        """Return a text of the assignment (a check's line, a cause, a message) in this language.

        Placeholders are filled from `values`, which are translated themselves where they are texts.
        """
        translated = self.assignment.gettext(text)
        if translated == text:
            translated = self.engine.gettext(text)
        if not values:
            return translated
        told = {k: self.tell(v) if isinstance(v, str) else v for k, v in values.items()}
        return filled(translated, told)


def load_language(course: Course, code: str, assignment: str) -> Language:
    """Return the language `code` of `course`; the course's first one if it does not have it."""
    if code not in course.config.languages:
        code = course.config.languages[0]
    return Language(
        code, load_catalogue(course, code, DOMAIN), load_catalogue(course, code, assignment)
    )


class Sign(NamedTuple):
    """A state as a page shows it: a symbol and a word, and a class for the colour beside them."""

    symbol: str
    word: str
    style: str


SIGNS = {
    Verdict.PASSED: Sign("✓", N_("Passed"), "good"),
    Verdict.FAILED: Sign("✗", N_("Not yet"), "bad"),
    Verdict.ERROR: Sign("!", N_("Could not be judged"), "ours"),
    Verdict.SKIPPED: Sign("–", N_("Not tried"), "none"),
}

# Said where the judge gave no message of its own.
CAUSES = {
    Cause.UNANSWERED: N_("There is no answer here yet: the starter is still in place."),
    Cause.NOT_DEFINED: N_(
        "After your notebook had run, there was no function of this name. It may have been "
        "renamed, or its cell may have stopped with an error."
    ),
    Cause.WRONG_TYPE: N_(
        "Your function returned something of another kind than the task asks for."
    ),
    Cause.RAISED: N_("Your function raised an exception."),
    Cause.NEVER_RETURNED: N_("Your function was still running when its time was up."),
    Cause.DIED: N_("The process that ran your function ended before it had answered."),
}

CELL_STATES = {
    "ran": N_("This cell ran to its end."),
    "raised": N_("This cell stopped with an exception."),
    "never_returned": N_("This cell was still running when its time was up, and was stopped."),
    "died": N_("The process that ran this cell ended while the cell was running."),
    "not_run": N_("This cell was not run."),
}

NOTICES = {
    NoticeKind.CELL_MISSING: N_("Missing cell"),
    NoticeKind.CELL_DUPLICATED: N_("Cell that stands more than once"),
    NoticeKind.CELL_RESTORED: N_("Cell put back as it was given out"),
    NoticeKind.METADATA_EDITED: N_("Notebook data that had been changed"),
    NoticeKind.OUTPUT_CUT: N_("Output that was cut"),
}

NOTICE_SENTENCES = {
    NoticeKind.CELL_MISSING: N_(
        "There was no cell of this name. It was deleted, or its name was changed."
    ),
    NoticeKind.CELL_DUPLICATED: N_(
        "There were several different cells of this name. A teaching assistant decides which one "
        "counts."
    ),
    NoticeKind.CELL_RESTORED: N_(
        "This cell is given and cannot be changed. It was put back before the notebook ran."
    ),
    NoticeKind.METADATA_EDITED: N_(
        "Points and marks stored in a notebook have no effect; the course's own were used."
    ),
    NoticeKind.OUTPUT_CUT: N_("There was more output than is kept; the rest was left out."),
}


class CheckView(NamedTuple):
    """One check as the page shows it; all texts are plain and in the page's language."""

    line: str
    sign: Sign
    cause: str
    message: str
    code: str | None
    misconception: Misconception | None
    is_ours: bool


class ExerciseView(NamedTuple):
    """One exercise as the page shows it."""

    name: str
    points: float
    max_points: float
    sign: Sign
    checks: tuple[CheckView, ...]
    by_hand: bool
    comment: str
    provisional: bool

    @property
    def has_more(self) -> bool:
        """Whether there is more to say of it than its points."""
        return bool(self.checks or self.comment or self.by_hand)


class CellView(NamedTuple):
    """What one cell printed and raised."""

    name: str
    state: str
    text: str
    error: str


class NoticeView(NamedTuple):
    """One remark about the notebook."""

    title: str
    subject: str
    sentence: str


def feedback_page(
    record: Record, course: Course, language: str, by_hand: HandGrading | None = None
) -> str:
    """Return the feedback page of `record` as HTML, with what a TA entered by hand, if given.

    Reads the course's catalogues and misconceptions; writes nothing.
    """
    return render_feedback(
        record,
        course.assignment(record.assignment),
        load_misconceptions(course, record.assignment),
        load_language(course, language, record.assignment),
        by_hand=by_hand or HandGrading(),
        course_title=course.config.title,
    )


def render_feedback(
    record: Record,
    assignment: Assignment,
    misconceptions: Misconceptions,
    language: Language,
    *,
    by_hand: HandGrading,
    course_title: str = "",
) -> str:
    """Return the page: the same arguments give the same bytes."""
    exercises = _exercises(record, assignment, misconceptions, language, by_hand)
    earned = sum(exercise.points for exercise in exercises)
    penalty = min(max(by_hand.late_penalty, 0.0), max(earned, 0.0))
    return page(
        "feedback.html.j2",
        language,
        record=record,
        title=language.tell(assignment.title),
        course_title=language.tell(course_title),
        student=plain_line(record.student, 200),
        points=earned - penalty,
        max_points=sum(exercise.max_points for exercise in exercises),
        penalty=penalty,
        exercises=exercises,
        cells=_cells(record, language),
        notices=_notices(record, language),
        provisional=any(exercise.provisional for exercise in exercises),
        reason=plain(language.tell(record.reason), MESSAGE_LIMIT_CHARS, 20),
        reference=plain_line(record.submission_digest.removeprefix("sha256:"), 12).rstrip("…"),
        graded_at=plain_line(record.graded_at[:16].replace("T", " "), 16),
        version=plain_line(record.versions.get("shardwork", ""), 20),
    )


def page_on_file(course: Course, assignment: str, student: str) -> str:
    """Return the page of the record on file; FileNotFoundError if there is none.

    Uses the record's language, and what a TA entered in formgrader.
    """
    course.assignment(assignment)
    record = read_record(record_path(course, assignment, student))
    by_hand = read_hand_grading(course, assignment, student).get(student)
    return feedback_page(record, course, record.language, by_hand)


def feedback_path(course: Course, assignment: str, student: str) -> Path:
    """Return where the page lies: where nbgrader's exchange looks for it."""
    return course.feedback / check_student(student) / assignment / f"{assignment}.html"


def write_feedback(course: Course, assignment: str, records: Sequence[Record]) -> list[Path]:
    """Write a page for each record and return the paths; an unchanged page is left alone."""
    by_hand = read_hand_grading(course, assignment)
    paths = []
    for record in records:
        path = feedback_path(course, assignment, record.student)
        html = feedback_page(record, course, record.language, by_hand.get(record.student))
        write_page(path, html)
        paths.append(path)
    return paths


def write_page(path: Path, html: str) -> None:
    """Write a page whole or not at all."""
    data = html.encode("utf-8", errors="replace")
    if path.is_file() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def page(template: str, language: Language, **values: Any) -> str:
    """Render a template of this package in `language`.

    The page's content security policy allows its own style sheet, by its hash, and pictures inside
    the page, and nothing else.
    """
    style = resources.files("shardwork").joinpath("templates/page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _environment()
        .get_template(template)
        .render(
            language=language,
            say=language.say,
            tell=language.tell,
            style=Markup(style),  # our own file; the policy's hash is of exactly this text
            policy=(
                f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; "
                "form-action 'none'"
            ),
            **values,
        )
    )


def show_points(points: float) -> str:
    """Return points with at most two decimals: `3`, `2.5`, `1.67`."""
    text = f"{points:.2f}".rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("shardwork", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["points"] = show_points
    return environment


def _exercises(
    record: Record,
    assignment: Assignment,
    misconceptions: Misconceptions,
    language: Language,
    by_hand: HandGrading,
) -> tuple[ExerciseView, ...]:
    results = {result.name: result for result in record.exercises}
    views = []
    for exercise in assignment.exercises:
        result = results.pop(exercise.name, None)
        points = result.points if result else 0.0
        provisional = result.provisional if result else record.status == "incomplete"
        entered = by_hand.points.get(exercise.name)
        if entered is not None:
            points, provisional = entered, False
        most = result.max_points if result else exercise.points
        checks = result.checks if result else ()
        named = misconceptions.get(exercise.name, {})
        views.append(
            ExerciseView(
                exercise.name,
                points,
                most,
                _state(points, most, provisional, entered is None and not checks),
                tuple(_check(check, named, language) for check in checks),
                entered is not None,
                plain(by_hand.comments.get(exercise.name, ""), MESSAGE_LIMIT_CHARS, 40),
                provisional,
            )
        )
    return tuple(views)


def _state(points: float, most: float, provisional: bool, untried: bool) -> Sign:
    if provisional:
        return Sign("!", N_("Not final"), "ours")
    if untried:
        return Sign("–", N_("Not judged"), "none")
    if points >= most:
        return Sign("✓", N_("Complete"), "good")
    if points > 0:
        return Sign("◐", N_("In part"), "part")
    return Sign("✗", N_("Not yet"), "bad")


def _check(check: CheckResult, named: Mapping[str, Misconception], language: Language) -> CheckView:
    is_ours = check.verdict is Verdict.ERROR
    failed = check.verdict in {Verdict.FAILED, Verdict.SKIPPED}
    found = named.get(check.code) if check.code and failed else None
    if found is not None:
        found = Misconception(language.tell(found.cause), language.tell(found.pointer), found.cell)
    message = language.tell(check.message, check.evidence) if failed or is_ours else ""
    cause = CAUSES.get(check.cause, "") if check.cause and failed and not message else ""
    return CheckView(
        line=plain_line(language.tell(check.line), 600),
        sign=SIGNS[check.verdict],
        cause=cause,
        message=plain(message, MESSAGE_LIMIT_CHARS, 30),
        code=check.code if found is not None else None,
        misconception=found,
        is_ours=is_ours,
    )


def _cells(record: Record, language: Language) -> tuple[CellView, ...]:
    return tuple(
        CellView(
            name=plain_line(cell.grade_id or cell.cell_id, 80),
            state=CELL_STATES[cell.status],
            text=plain(_without_blank_edges(cell.text), OUTPUT_LIMIT_CHARS, OUTPUT_LIMIT_LINES),
            error=plain(_without_blank_edges(cell.error), OUTPUT_LIMIT_CHARS, OUTPUT_LIMIT_LINES),
        )
        for cell in record.cells
        if _is_worth_showing(cell)
    )


def _is_worth_showing(cell: CellOutcome) -> bool:
    """Whether a cell is the student's own or a public check and said something, or went wrong."""
    if cell.status not in {"ran", "not_run"}:
        return True
    is_ours = cell.grade_id is None and not cell.cell_id.startswith(ADDED_PREFIX)
    return not is_ours and bool(cell.text.strip() or cell.error.strip())


def _without_blank_edges(text: str) -> str:
    return re.sub(r"\A(?:[ \t]*\n)+", "", text).rstrip()


def _notices(record: Record, language: Language) -> tuple[NoticeView, ...]:
    return tuple(
        NoticeView(
            title=NOTICES[notice.kind],
            subject=plain_line(notice.subject, 120),
            sentence=NOTICE_SENTENCES[notice.kind],
        )
        for notice in record.notices
    )
