"""The feedback page of one submission: a pure function of its record, and the writing of pages.

What may stand on it is said in `studentview.py`; how a page is made, in `pages.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from shardwork.course import Course
from shardwork.handgrading import HandGrading, read_hand_grading
from shardwork.misconceptions import load_misconceptions
from shardwork.pages import load_language, page, write_page
from shardwork.record import Record
from shardwork.recordfile import check_student, read_record, record_path
from shardwork.sentences import course_sentences
from shardwork.studentview import student_view


def feedback_page(
    record: Record,
    course: Course,
    language: str,
    by_hand: HandGrading | None = None,
    sentences: Collection[str] | None = None,
) -> str:
    """Return the feedback page of `record` as HTML, with what a TA entered by hand, if given.

    `sentences` are what the assignment's graders may say; read from the course if not given. Reads
    the course's catalogues and misconceptions; writes nothing.
    """
    spoken = load_language(course, language, record.assignment)
    assignment = course.assignment(record.assignment)
    if sentences is None:
        sentences = course_sentences(course, record.assignment)
    view = student_view(
        record,
        assignment,
        load_misconceptions(course, record.assignment),
        spoken,
        by_hand=by_hand or HandGrading(),
        sentences=sentences,
        places=_places(course),
    )
    return page(
        "feedback.html.j2",
        spoken,
        view=view,
        title=spoken.tell(assignment.title),
        course_title=spoken.tell(course.config.title),
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
    sentences = course_sentences(course, assignment)
    paths = []
    for record in records:
        path = feedback_path(course, assignment, record.student)
        entered = by_hand.get(record.student)
        write_page(path, feedback_page(record, course, record.language, entered, sentences))
        paths.append(path)
    return paths


def _places(course: Course) -> list[str]:
    """Return the folders of this machine that a warning in a student's output may name."""
    here = Path(__file__).resolve().parent.parent
    found = {course.root.resolve(), course.root, here, Path(sys.prefix), Path.home()}
    return [str(place) for place in found if len(place.parts) > 1]
