"""The one writer of nbgrader's gradebook: records go in, points and autograded notebooks come out.

It runs nbgrader's own Autograde over rebuilt notebooks in a private folder, with recorded results
in place of a kernel, so formgrader, manual grading and late penalties work on what it writes. It
changes no record.
"""

from __future__ import annotations

import json
import logging
import os
import stat
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shardwork.course import Course
from shardwork.errors import CourseError, MachineError, ShardworkError
from shardwork.gradebookfile import lock, make_empty, one_engine, opened
from shardwork.leftovers import own_prefix
from shardwork.plaintext import plain, plain_line
from shardwork.record import Record
from shardwork.recordfile import check_student, record_digest
from shardwork.wholefile import disk_full, is_disk_full

if TYPE_CHECKING:
    from nbformat import NotebookNode
    from nbgrader.api import Gradebook

TEST_PREFIX = "test_"
"""The test cell of the exercise `key_stats` has the grade_id `test_key_stats`."""

STAMP_LIMIT_BYTES = 200
TOLERANCE = 1e-9
"""Two sums of the same points may differ by this much in floating point."""


@dataclass(frozen=True)
class Written:
    """What one call of `write_gradebook` did, by student. `failed` has the reason with each."""

    redone: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)


def write_gradebook(
    course: Course,
    assignment: str,
    records: Sequence[Record],
    notebooks: Mapping[str, Path] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Written:
    """Put the points of `records` into nbgrader's gradebook, and write `autograded/` notebooks.

    `notebooks` has, by student, the file of the notebook that was judged. For a student who is not
    in it, ingest rebuilds it from `submitted/`, and the starter is shown if that cannot be done (a
    refused submission). Only submissions that changed since they were last written are redone.
    `progress` is called with each student's name when that student is done.

    One submission that fails is named in the result and does not stop the others. Raises
    CourseError if the assignment cannot be entered into the gradebook as it is configured now,
    MachineError if the disk is full. Side effects: enters the assignment into the gradebook if it
    is not there; changes the working directory while nbgrader runs, as nbgrader does; waits for
    another writer of the same gradebook.
    """
    given = notebooks or {}
    redone: list[str] = []
    unchanged: list[str] = []
    failed: dict[str, str] = {}
    with lock(course), one_engine():
        ensure_registered(course, assignment)
        with opened(course) as gradebook:
            entries = _entries(gradebook, assignment)
            limits = _limits(gradebook, assignment)
        for record in records:
            student = record.student
            try:
                check_student(student)
                if _write_one(course, record, given.get(student), entries.get(student), limits):
                    redone.append(student)
                else:
                    unchanged.append(student)
            except MachineError:
                raise
            except OSError as error:
                if is_disk_full(error):
                    raise disk_full(
                        f"the gradebook does not have {assignment}/{student} yet; records are safe"
                    ) from error
                failed[student] = plain_line(str(error))
            except Exception as error:  # one submission must not stop the others
                failed[student] = plain_line(str(error)) or type(error).__name__
            if progress is not None:
                progress(student)
    return Written(tuple(redone), tuple(unchanged), failed)


def ensure_registered(course: Course, assignment: str) -> None:
    """Enter the assignment into the gradebook, unless it is there as it is configured now.

    Raises CourseError if the source notebook does not have the configured exercises and points.
    """
    from shardwork.release import register_assignment

    if course.gradebook.is_file():
        with opened(course) as gradebook:
            if not _differences(course, assignment, _limits(gradebook, assignment)):
                return
    else:
        make_empty(course)
    register_assignment(course, assignment)
    with opened(course) as gradebook:
        differences = _differences(course, assignment, _limits(gradebook, assignment))
    if differences:
        raise CourseError(
            f"{course.source_notebook(assignment)} and course_config.py disagree: "
            f"{'; '.join(differences)}. Correct one of them, run `shardwork release {assignment}`, "
            "then the same command again."
        )


def _limits(gradebook: Gradebook, assignment: str) -> dict[str, float]:
    """Return the possible points of each test cell; empty if the assignment is not registered."""
    from nbgrader.api import MissingEntry

    try:
        cells = gradebook.find_notebook(assignment, assignment).grade_cells
    except MissingEntry:
        return {}
    return {cell.name: float(cell.max_score) for cell in cells}


def _differences(course: Course, assignment: str, limits: Mapping[str, float]) -> list[str]:
    """Say where the gradebook's graded cells are not as `course_config.py` has them."""
    found = []
    config = course.assignment(assignment)
    expected = {f"{TEST_PREFIX}{exercise.name}": exercise.points for exercise in config.exercises}
    expected |= {question.name: question.points for question in config.written}
    for cell, points in expected.items():
        has = limits.get(cell)
        if has is None:
            found.append(f"there is no cell {cell}")
        elif abs(has - points) > TOLERANCE:
            found.append(f"cell {cell} has {has:g} points, and course_config.py {points:g}")
    found += [f"there is a cell {cell} of no exercise" for cell in sorted(limits.keys() - expected)]
    return found


def _entries(gradebook: Gradebook, assignment: str) -> dict[str, dict[str, float | None]]:
    """Return the points that nbgrader has, by student and test cell, in one query."""
    from nbgrader.api import (
        Assignment,
        BaseCell,
        Grade,
        SubmittedAssignment,
        SubmittedNotebook,
    )

    rows = (
        gradebook.db.query(SubmittedAssignment.student_id, BaseCell.name, Grade.auto_score)
        .select_from(Grade)
        .join(BaseCell, Grade.cell_id == BaseCell.id)
        .join(SubmittedNotebook, Grade.notebook_id == SubmittedNotebook.id)
        .join(SubmittedAssignment, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
        .join(Assignment, SubmittedAssignment.assignment_id == Assignment.id)
        .filter(Assignment.name == assignment)
    )
    entries: dict[str, dict[str, float | None]] = {}
    for student, cell, points in rows:
        entries.setdefault(student, {})[cell] = points
    return entries


def _write_one(
    course: Course,
    record: Record,
    given: Path | None,
    entry: Mapping[str, float | None] | None,
    limits: Mapping[str, float],
) -> bool:
    """Write one submission; return False if everything is there already."""
    import nbformat.v4

    from shardwork.nbgrader_bridge import clean_notebook, guided, mark, notebook_digest

    assignment, student = record.assignment, record.student
    if given is not None:
        notebook = nbformat.v4.reads(given.read_text(encoding="utf-8"))
        guided(course, assignment, notebook, record.language)
    else:
        notebook = clean_notebook(course, assignment, student, record.language)
    digest = notebook_digest(notebook)
    stamp = _time_stamp(course.submitted / student / assignment / "timestamp.txt")
    folder = course.autograded / student / assignment
    if (
        _noted(folder / f"{assignment}.ipynb") == (record_digest(record), digest)
        and _time_stamp(folder / "timestamp.txt") == stamp
        and _agrees(record, entry, limits)
    ):
        return False
    mark(notebook, notebook_digest=digest)
    settled = _settled(course, assignment, student, folder / f"{assignment}.ipynb", notebook)
    with tempfile.TemporaryDirectory(prefix=own_prefix()) as name:
        staged = Path(name) / "submitted" / student / assignment
        staged.mkdir(parents=True)
        text = json.dumps(notebook, ensure_ascii=False)
        (staged / f"{assignment}.ipynb").write_text(text, encoding="utf-8", errors="replace")
        if stamp:
            (staged / "timestamp.txt").write_text(stamp + "\n", encoding="ascii")
        else:
            _forget_time(course, assignment, student)
        _autograde(course, record, staged.parent.parent, settled)
    return True


def _settled(
    course: Course, assignment: str, student: str, before: Path, notebook: NotebookNode
) -> list[str]:
    """Return the written questions that a person has graded and whose answers are as they were."""
    from nbgrader.api import MissingEntry

    from shardwork.notebook import written_cells

    answers = {name: cell.source for name, cell in written_cells(notebook).items()}
    known = _answers_in(before)
    same = [name for name, answer in answers.items() if known.get(name) == answer]
    if not same:
        return []
    with opened(course) as gradebook:
        try:
            grades = gradebook.find_submission_notebook(assignment, assignment, student).grades
        except MissingEntry:
            return []
        graded = {g.name for g in grades if g.manual_score is not None and not g.needs_manual_grade}
    return [name for name in same if name in graded]


def _answers_in(path: Path) -> dict[str, str]:
    """Return the text of the cells of an autograded notebook by grade id; none if there is none."""
    try:
        cells = json.loads(path.read_bytes())["cells"]
        return {
            name: "".join(cell["source"])
            for cell in cells
            if (name := cell["metadata"].get("nbgrader", {}).get("grade_id"))
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _forget_time(course: Course, assignment: str, student: str) -> None:
    """Take the time of an earlier submission out of the gradebook; nbgrader would keep it."""
    from nbgrader.api import MissingEntry

    with opened(course) as gradebook:
        try:
            submission = gradebook.find_submission(assignment, student)
        except MissingEntry:
            return
        submission.timestamp = None
        gradebook.db.commit()


def _autograde(
    course: Course, record: Record, submitted: Path, settled: Sequence[str] = ()
) -> None:
    """Run nbgrader's Autograde over the one submission in `submitted`, with results on record."""
    from nbgrader.converters import Autograde
    from nbgrader.coursedir import CourseDirectory
    from sqlalchemy.exc import SAWarning

    from shardwork.nbgrader_bridge import options

    config = options(course)
    config.CourseDirectory.submitted_directory = str(submitted)
    config.CourseDirectory.assignment_id = record.assignment
    config.Autograde.exporter_class = "nbconvert.exporters.NotebookExporter"
    del config.Autograde["pre_convert_hook"], config.Autograde["post_convert_hook"]
    config.RecordedResults.record = record
    config.MarkForReview.settled = list(settled)
    log, said = _quiet_log()
    converter = Autograde(coursedir=CourseDirectory(config=config, log=log), config=config, log=log)
    converter.force = True
    try:
        with warnings.catch_warnings():
            # nbgrader 0.9.6 lets SQLAlchemy flush half-made submissions, and is told so each time
            warnings.simplefilter("ignore", SAWarning)
            converter.start()
    except Exception as error:
        cause = "\n".join(said) or str(error)
        raise ShardworkError(
            f"nbgrader could not write the gradebook; the record is safe. It said: "
            f"{plain(cause, 2_000, 40)}"
        ) from error


class _Said(logging.Handler):
    """Keeps what nbgrader says of a failure, for the message."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage().strip().splitlines()[-1])


def _quiet_log() -> tuple[Any, list[str]]:
    log = logging.Logger("shardwork.gradebook", logging.WARNING)
    said = _Said()
    log.addHandler(said)
    return log, said.lines


def _noted(path: Path) -> tuple[str, str] | None:
    """Return the digests of the record and the notebook that `path` was written from."""
    try:
        noted = json.loads(path.read_bytes())["metadata"]["shardwork"]
        return noted["record_digest"], noted["notebook_digest"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _agrees(
    record: Record, entry: Mapping[str, float | None] | None, limits: Mapping[str, float]
) -> bool:
    """Say whether the gradebook has the points of `record` in every test cell."""
    from shardwork.nbgrader_bridge import score_cell

    if entry is None:
        return False
    answered = {question.name for question in record.written if question.answered}
    for cell, most in limits.items():
        if cell.startswith(TEST_PREFIX):
            points = score_cell(record, cell, most).points
        else:  # a written question: nbgrader knows that no answer is 0 points
            points = None if cell in answered else 0.0
        found = entry.get(cell)
        if (points is None) != (found is None):
            return False
        if points is not None and found is not None and abs(points - found) > TOLERANCE:
            return False
    return True


def _time_stamp(path: Path) -> str:
    """Return the time of submission in `path` if it is a plain file with one; else nothing.

    The file may come from a student: it is read without following links or waiting on a pipe.
    """
    from nbgrader.utils import parse_utc

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        data = os.read(descriptor, STAMP_LIMIT_BYTES + 1)
    finally:
        os.close(descriptor)
    try:
        text = data.decode("ascii").strip()
        if text and len(data) <= STAMP_LIMIT_BYTES:
            parse_utc(text)
            return text
    except (ValueError, OverflowError, TypeError):
        pass
    return ""
