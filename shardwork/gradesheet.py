"""`nbgrader export` as a table that a spreadsheet can open without harm.

nbgrader 0.9.6 writes its CSV unquoted: a comma in a name moves the points into another column, and
a cell that begins with `=` is a formula to a spreadsheet. The columns and figures here are its own.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook, MissingEntry
from nbgrader.plugins import ExportPlugin

from shardwork.plaintext import plain_line
from shardwork.wholefile import write_whole

COLUMNS = (
    "assignment", "duedate", "timestamp", "student_id", "last_name", "first_name", "email",
    "raw_score", "late_submission_penalty", "score", "max_score",
)  # fmt: skip
_STARTS_A_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def guarded(value: object) -> str:
    """Return a value as a cell that no spreadsheet computes; numbers stay numbers.

    A text that would begin a formula gets an apostrophe before it, which spreadsheets do not show.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        return str(value)
    text = plain_line(value)
    return f"'{text}" if text.startswith(_STARTS_A_FORMULA) else text


class GradeSheet(ExportPlugin):  # type: ignore[misc] # nbgrader publishes no types
    """Write the grades of every student as CSV, quoted and without formulas."""

    def export(self, gradebook: Gradebook) -> None:
        table = io.StringIO()
        writer = csv.writer(table)
        writer.writerow(COLUMNS)
        wanted = {str(name) for name in self.assignment}, {str(name) for name in self.student}
        for assignment in gradebook.assignments:
            if wanted[0] and assignment.name not in wanted[0]:
                continue
            for student in gradebook.students:
                if not wanted[1] or student.id in wanted[1]:
                    row = _row(gradebook, assignment, student)
                    writer.writerow([guarded(value) for value in row])
        write_whole(Path(self.to or "grades.csv").resolve(), table.getvalue().encode())


def _row(gradebook: Gradebook, assignment: Any, student: Any) -> tuple[object, ...]:
    try:
        submission = gradebook.find_submission(assignment.name, student.id)
    except MissingEntry:  # nothing handed in: no points
        timestamp, raw, penalty = None, 0.0, 0.0
    else:
        timestamp, raw = submission.timestamp, submission.score
        penalty = submission.late_submission_penalty
    person = (student.id, student.last_name, student.first_name, student.email)
    grades = (raw, penalty, max(0.0, raw - penalty), assignment.max_score)
    return (assignment.name, assignment.duedate, timestamp, *person, *grades)
