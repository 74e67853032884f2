"""What a student may see of a record: the allow-list of the feedback page, in one place.

A `StudentView` holds sentences of the course and of the engine, numbers, names out of closed lists,
and the student's own output as bounded plain text. The page is made of it and of nothing else, so
what is not taken over here cannot get in: no `detail`, no name of a check, no text of a notice,
nothing that a function said while the judge called it.

Which messages are shown, and what may fill them, is said in `sentences.py`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from markupsafe import escape

from shardwork.course import Assignment
from shardwork.handgrading import HandGrading
from shardwork.misconceptions import Misconception, Misconceptions
from shardwork.pages import N_, Language
from shardwork.plaintext import plain, plain_line
from shardwork.record import (
    ADDED_PREFIX,
    Cause,
    CellOutcome,
    CheckResult,
    NoticeKind,
    Record,
    Verdict,
)
from shardwork.sentences import LEFT_OUT, MESSAGE_LIMIT_CHARS, shown_message

OUTPUT_LIMIT_CHARS = 4_000
OUTPUT_LIMIT_LINES = 60
ALL_OUTPUT_LIMIT_BYTES = 48_000
"""What the student's cells may take up on the page together, escaped."""
NOTICES_LIMIT = 40


class Sign(NamedTuple):
    """A state as a page shows it: a symbol and a word, and a class for the colour beside them."""

    symbol: str
    word: str
    style: str


class CheckView(NamedTuple):
    """One check as the page shows it; all texts are plain and in the page's language."""

    line: str
    sign: Sign
    cause: str
    message: str
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


class WrittenView(NamedTuple):
    """One written question as the page shows it; `note` is a msgid, and may be empty."""

    name: str
    points: float
    max_points: float
    sign: Sign
    note: str
    comment: str
    waiting: bool


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


class StudentView(NamedTuple):
    """All that the page shows. `reason` is set only if the submission was refused."""

    student: str
    refused: bool
    not_final: bool
    reason: str
    points: float
    max_points: float
    penalty: float
    exercises: tuple[ExerciseView, ...]
    written: tuple[WrittenView, ...]
    cells: tuple[CellView, ...]
    cells_left_out: int
    notices: tuple[NoticeView, ...]
    reference: str
    graded_at: str
    version: str


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

WAITS = N_(
    "A person reads this answer and gives the points. That has not been done yet, so they are not "
    "in the total."
)
WAITS_AGAIN = N_(
    "You have changed this answer since it was graded, so it will be read again. Until then the "
    "points are those of the answer before."
)
BY_HAND = N_("A person has read this answer and given the points.")
NO_ANSWER = N_("There was no answer in this cell, so there are no points for it.")

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
    NoticeKind.ANSWER_CUT: N_("Answer that is too long"),
    NoticeKind.ANSWER_ELSEWHERE: N_("Text beside an empty answer"),
    NoticeKind.METADATA_EDITED: N_("Notebook data that had been changed"),
}

NOTICE_SENTENCES = {
    NoticeKind.CELL_MISSING: N_(
        "There was no cell of this name. It was deleted, or its name was changed."
    ),
    NoticeKind.CELL_DUPLICATED: N_(
        "There were several different cells of this name. A teaching assistant decides which one "
        "counts."
    ),
    NoticeKind.ANSWER_CUT: N_(
        "Only the beginning of this answer goes on to the person who grades it. A teaching "
        "assistant decides about the rest."
    ),
    NoticeKind.ANSWER_ELSEWHERE: N_(
        "The cell for this answer was empty, and there was text of yours beside it. A teaching "
        "assistant looks whether that is the answer."
    ),
    NoticeKind.CELL_RESTORED: N_(
        "This cell is given and cannot be changed. It was put back before the notebook ran."
    ),
    NoticeKind.METADATA_EDITED: N_(
        "Points and marks stored in a notebook have no effect; the course's own were used."
    ),
}


def student_view(
    record: Record,
    assignment: Assignment,
    misconceptions: Misconceptions,
    language: Language,
    *,
    by_hand: HandGrading,
    sentences: Collection[str],
    places: Collection[str] = (),
) -> StudentView:
    """Return what the student may see of `record`, with what a person entered for it.

    `sentences` are the messages that graders may give (see `course_sentences`). `places` are paths
    of this machine that are taken out of the student's own output.
    """
    exercises = _exercises(record, assignment, misconceptions, language, by_hand, sentences)
    written = _written(record, assignment, by_hand)
    earned = sum(e.points for e in exercises) + sum(q.points for q in written)
    penalty = min(max(by_hand.late_penalty, 0.0), max(earned, 0.0))
    cells, cells_left_out = _cells(record, sorted(places, key=len, reverse=True))
    refused = record.status == "refused"
    provisional = any(exercise.provisional for exercise in exercises)
    return StudentView(
        student=plain_line(record.student, 200),
        refused=refused,
        not_final=not refused and (record.status == "incomplete" or provisional),
        reason=plain(_why_refused(record, language), MESSAGE_LIMIT_CHARS, 20) if refused else "",
        points=earned - penalty,
        max_points=sum(e.max_points for e in exercises) + sum(q.max_points for q in written),
        penalty=penalty,
        exercises=exercises,
        written=written,
        cells=cells,
        cells_left_out=cells_left_out,
        notices=_notices(record),
        reference=plain_line(record.submission_digest.removeprefix("sha256:"), 12).rstrip("…"),
        graded_at=plain_line(record.graded_at[:16].replace("T", " "), 16),
        version=plain_line(record.versions.get("shardwork", ""), 20),
    )


def _exercises(
    record: Record,
    assignment: Assignment,
    misconceptions: Misconceptions,
    language: Language,
    by_hand: HandGrading,
    sentences: Collection[str],
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
                tuple(_check(check, named, language, sentences) for check in checks),
                entered is not None,
                plain(by_hand.comments.get(exercise.name, ""), MESSAGE_LIMIT_CHARS, 40),
                provisional,
            )
        )
    return tuple(views)


def _written(
    record: Record, assignment: Assignment, by_hand: HandGrading
) -> tuple[WrittenView, ...]:
    answered = {question.name for question in record.written if question.answered}
    views = []
    for question in assignment.written:
        entered = by_hand.points.get(question.name)
        waits = question.name in by_hand.waiting or (question.name in answered and entered is None)
        comment = plain(by_hand.comments.get(question.name, ""), MESSAGE_LIMIT_CHARS, 40)
        if waits:
            sign = Sign("…", N_("Waiting to be graded by hand"), "none")
            note = WAITS if entered is None else WAITS_AGAIN
            comment = ""  # what was said of an answer that is no longer there
        elif entered is not None:
            sign, note = _state(entered, question.points, False, False), BY_HAND
        else:
            untried = record.status == "refused"
            sign = Sign("–", N_("Not judged") if untried else N_("Not answered"), "none")
            note = "" if untried else NO_ANSWER
        points = entered or 0.0
        views.append(
            WrittenView(question.name, points, question.points, sign, note, comment, waits)
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


def _check(
    check: CheckResult,
    named: Mapping[str, Misconception],
    language: Language,
    sentences: Collection[str],
) -> CheckView:
    is_ours = check.verdict is Verdict.ERROR
    failed = check.verdict in {Verdict.FAILED, Verdict.SKIPPED}
    found = named.get(check.code) if check.code and failed else None
    if found is not None:
        found = Misconception(language.tell(found.cause), language.tell(found.pointer), found.cell)
    message = shown_message(check, language, sentences) if failed or is_ours else ""
    cause = CAUSES.get(check.cause, "") if check.cause and failed and not message else ""
    return CheckView(
        line=plain_line(language.tell(check.line), 600),
        sign=SIGNS[check.verdict],
        cause=cause,
        message=message,
        misconception=found,
        is_ours=is_ours,
    )


def _cells(record: Record, places: Collection[str]) -> tuple[tuple[CellView, ...], int]:
    """Return the cells that fit, and how many more there are."""
    views: list[CellView] = []
    left_out = used = 0
    for cell in record.cells:
        if not _is_worth_showing(cell):
            continue
        view = CellView(
            name=plain_line(cell.grade_id or cell.cell_id, 80),
            state=CELL_STATES[cell.status],
            text=_output(cell.text, places),
            error=_output(cell.error, places),
        )
        used += sum(len(escape(text).encode("utf-8", errors="replace")) for text in view)
        if used > ALL_OUTPUT_LIMIT_BYTES:
            left_out += 1
        else:
            views.append(view)
    return tuple(views), left_out


def _output(text: str, places: Collection[str]) -> str:
    """Return what a cell printed: plain, bounded, and without the paths of this machine."""
    text = plain(_without_blank_edges(text), OUTPUT_LIMIT_CHARS, OUTPUT_LIMIT_LINES)
    for place in places:
        text = text.replace(place, LEFT_OUT)
    return text


def _is_worth_showing(cell: CellOutcome) -> bool:
    """Whether a cell is the student's own or a public check and said something, or went wrong."""
    if cell.status not in {"ran", "not_run"}:
        return True
    is_ours = cell.grade_id is None and not cell.cell_id.startswith(ADDED_PREFIX)
    return not is_ours and bool(cell.text.strip() or cell.error.strip())


def _without_blank_edges(text: str) -> str:
    return re.sub(r"\A(?:[ \t]*\n)+", "", text).rstrip()


def _notices(record: Record) -> tuple[NoticeView, ...]:
    views = [
        NoticeView(
            title=NOTICES[notice.kind],
            subject=plain_line(notice.subject, 120),
            sentence=NOTICE_SENTENCES[notice.kind],
        )
        for notice in record.notices
    ]
    return tuple(dict.fromkeys(views))[:NOTICES_LIMIT]


def _why_refused(record: Record, language: Language) -> str:
    if record.sentence:
        return language.tell(record.sentence, record.values)
    return language.tell(record.reason)
