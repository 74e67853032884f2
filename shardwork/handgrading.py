"""What people changed in formgrader, read back from nbgrader's gradebook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shardwork.course import Course
from shardwork.gradebook import TEST_PREFIX
from shardwork.gradebookfile import opened


@dataclass(frozen=True)
class HandGrading:
    """What people changed in formgrader for one submission, and the late penalty.

    `points` and `comments` are by exercise or written question, and hold only what a person
    entered. `waiting` are the written questions that nobody has graded, or whose answer has changed
    since.
    """

    points: Mapping[str, float] = field(default_factory=dict)
    comments: Mapping[str, str] = field(default_factory=dict)
    late_penalty: float = 0.0
    waiting: frozenset[str] = frozenset()


def read_hand_grading(
    course: Course, assignment: str, student: str | None = None
) -> dict[str, HandGrading]:
    """Return what people entered in formgrader, by student, or only for `student`.

    Empty if there is no gradebook yet.
    """
    if not course.gradebook.is_file():
        return {}
    from nbgrader.api import MissingEntry

    written = {question.name for question in course.assignment(assignment).written}
    found: dict[str, HandGrading] = {}
    with opened(course) as gradebook:
        try:
            if student is None:
                submissions = gradebook.assignment_submissions(assignment)
            else:
                submissions = [gradebook.find_submission(assignment, student)]
        except MissingEntry:
            return {}
        for submission in submissions:
            points: dict[str, float] = {}
            comments: dict[str, str] = {}
            waiting: set[str] = set()
            penalty = 0.0
            for notebook in submission.notebooks:
                penalty += notebook.late_submission_penalty or 0.0
                for grade in notebook.grades:
                    if grade.name in written and grade.needs_manual_grade:
                        waiting.add(grade.name)
                    if grade.manual_score is not None or grade.extra_credit:
                        name = grade.name.removeprefix(TEST_PREFIX)
                        points[name] = grade.score  # nbgrader has added the extra credit
                for comment in notebook.comments:
                    if comment.manual_comment:
                        comments[comment.name] = comment.manual_comment
            if points or comments or penalty or waiting:
                found[submission.student.id] = HandGrading(
                    points, comments, penalty, frozenset(waiting)
                )
    return found
