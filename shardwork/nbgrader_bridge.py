"""Where nbgrader meets Shardwork: its options, and the parts that we put in place of its own.

nbgrader keeps the gradebook, formgrader, manual grading and late penalties. It runs no student
code here: where stock nbgrader starts a kernel, `RecordedResults` writes what the judge has
recorded, and asks the engine first if there is nothing on record. The bytes that a student handed
in are not converted either: `CleanNotebook` gives nbgrader the notebook that ingest rebuilt, so no
submission can stop a batch. Feedback is our page (`FeedbackPage`).

Formats and private behaviour that this rests on: nbgrader 0.9.6 (`converters/autograde.py`,
`utils.py: determine_grade`), nbconvert 7.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from nbconvert.exporters import HTMLExporter, NotebookExporter
from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Instance, List, Unicode
from traitlets.config import Config

from shardwork.course import Course, load_course
from shardwork.errors import NothingMatched
from shardwork.gradebook import TEST_PREFIX, ensure_registered
from shardwork.gradebookfile import lock
from shardwork.plaintext import filled, plain
from shardwork.record import ExerciseResult, Record, Verdict
from shardwork.recordfile import record_digest
from shardwork.sentences import shown_values
from shardwork.starter import starter_notebook

DATABASE_TIMEOUT_S = 60
"""How long SQLite waits for another writer before it gives up."""

IGNORED = [".ipynb_checkpoints", "*.pyc", "__pycache__", "feedback", ".OTTER_LOG", ".DS_Store"]
"""Files that nbgrader does not copy along; the first four are its own default."""

GUIDE_PREFIX = "guide-"
"""Ids of the cells that guide the TA begin so."""

COMMENT_LIMIT_CHARS = 2_000
_RECORD = "shardwork_record"

_OURS = "shardwork.nbgrader_bridge"
_SANITIZER = "shardwork.sanitizer"
_THEIRS = "nbgrader.preprocessors"


def configure(config: Config, config_file: str | os.PathLike[str]) -> None:
    """Set nbgrader's options for the course that `config_file` (its `nbgrader_config.py`) lies in.

    To be called as `configure(get_config(), __file__)`. What the file sets after this call wins.
    """
    config.merge(options(load_course(Path(config_file).resolve().parent)))


def see_alembic() -> None:
    """Put this interpreter's `bin` on PATH if `alembic` is not found there.

    nbgrader calls it by name when it makes a gradebook, and leaves a broken file if that fails.
    """
    if shutil.which("alembic") is None:
        os.environ["PATH"] = os.pathsep.join(
            (str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))
        )


def options(course: Course) -> Config:
    """Return nbgrader's options for `course`, as plain `nbgrader` and formgrader use them.

    Side effect: that of `see_alembic`.
    """
    from sqlalchemy import URL

    see_alembic()
    url = URL.create(
        "sqlite", database=str(course.gradebook), query={"timeout": str(DATABASE_TIMEOUT_S)}
    )
    c = Config()
    c.CourseDirectory.course_id = course.config.id
    c.CourseDirectory.root = str(course.root)
    c.CourseDirectory.db_url = url.render_as_string(hide_password=False)
    c.CourseDirectory.release_directory = f"release/{course.config.languages[0]}"
    c.CourseDirectory.ignore = IGNORED
    c.OverwriteCells.add_missing_cells = True
    c.Autograde.exporter_class = f"{_OURS}.CleanNotebook"
    c.Autograde.autograde_preprocessors = [
        f"{_OURS}.RecordedResults",
        f"{_THEIRS}.IgnorePattern",
        f"{_THEIRS}.LimitOutput",
        f"{_THEIRS}.SaveAutoGrades",
        f"{_OURS}.MarkForReview",
        f"{_THEIRS}.AssignLatePenalties",
        f"{_THEIRS}.CheckCellMetadata",
    ]
    c.Autograde.pre_convert_hook = f"{_OURS}.register"
    c.Autograde.post_convert_hook = f"{_OURS}.remove_foreign_files"
    c.GenerateFeedback.exporter_class = f"{_OURS}.FeedbackPage"
    c.GenerateFeedback.preprocessors = [
        f"{_OURS}.WithoutGuides",
        f"{_THEIRS}.GetGrades",
        "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
        f"{_SANITIZER}.Sanitized",
    ]
    # formgrader builds a plain HTMLExporter from these options, and so do nbgrader's feedback pages
    c.HTMLExporter.preprocessors = [f"{_SANITIZER}.Sanitized"]
    c.HTMLExporter.filters = {"markdown2html": f"{_SANITIZER}.safe_markdown"}
    c.ExportApp.plugin_class = "shardwork.gradesheet.GradeSheet"
    return c


class CellScore(NamedTuple):
    """What a record says of one test cell. `points` is None if nothing is known of it."""

    points: float | None
    needs_review: bool


def score_cell(record: Record, grade_id: str, max_points: float) -> CellScore:
    """Return the points of the test cell `grade_id`, within 0..`max_points`.

    An exercise with an error of ours keeps the points known so far and is put before a person.
    One that the record does not have is worth 0 in a refused submission, and unknown otherwise.
    """
    result = exercise_of(record, grade_id)
    if result is None:
        if record.status == "refused":
            return CellScore(0.0, needs_review=False)
        return CellScore(None, needs_review=True)
    provisional = result.provisional or any(c.verdict is Verdict.ERROR for c in result.checks)
    if not math.isfinite(result.points):
        return CellScore(None, needs_review=True)
    return CellScore(min(max(result.points, 0.0), max_points), provisional)


def exercise_of(record: Record, grade_id: str) -> ExerciseResult | None:
    """Return the result that the test cell `grade_id` stands for, if the record has one."""
    name = grade_id.removeprefix(TEST_PREFIX)
    return next((result for result in record.exercises if result.name == name), None)


def clean_notebook(
    course: Course, assignment: str, student: str, language: str = ""
) -> NotebookNode:
    """Return the notebook that ingest rebuilds from what a student handed in.

    The starter, in `language`, if there is nothing to rebuild it from. Written questions are
    `guided`.
    """
    from shardwork.ingest import ingest

    notebook = None
    if (course.submitted / student / assignment).is_dir():
        notebook = ingest(course, course.assignment(assignment), student).notebook
    if notebook is None:
        notebook = starter_notebook(course, assignment, language)
    guided(course, assignment, notebook, language)
    return notebook


def guided(course: Course, assignment: str, notebook: NotebookNode, language: str) -> None:
    """Put what guides the TA above the answer to each written question: model answer and rubric.

    It goes into `autograded/`, where formgrader shows it, and nowhere else.
    """
    from shardwork.catalogue import guides
    from shardwork.notebook import Role, role

    if not course.assignment(assignment).written:
        return
    texts = guides(course, assignment, language)
    cells = []
    for cell in notebook.cells:
        if role(cell) is Role.WRITTEN and cell.id in texts:
            heading = f"**Model answer and rubric for `{cell.id}`** (not the student's)"
            quoted = "\n".join(f"> {line}".rstrip() for line in texts[cell.id].split("\n"))
            cells.append(
                nbformat.v4.new_markdown_cell(
                    f"{heading}\n\n{quoted}",
                    id=f"{GUIDE_PREFIX}{cell.id}"[:64],
                    metadata={"shardwork": {"guide": True}},
                )
            )
        cells.append(cell)
    notebook.cells = cells


def notebook_digest(notebook: NotebookNode) -> str:
    """Return the SHA-256 of a notebook's content; what was noted in it by `mark` does not count."""
    content = json.loads(json.dumps(notebook))
    noted = content["metadata"].get("shardwork", {})
    for key in ("record_digest", "notebook_digest"):
        noted.pop(key, None)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def mark(notebook: NotebookNode, **noted: str) -> None:
    """Note something in the notebook's metadata, under `shardwork`."""
    notebook.metadata["shardwork"] = {**notebook.metadata.get("shardwork", {}), **noted}


class CleanNotebook(NotebookExporter):  # type: ignore[misc] # nbconvert publishes no types
    """Read the notebook that ingest rebuilt where nbgrader would read what the student handed in.

    nbgrader never sees the raw file, so one that is no notebook, repeats cells or claims a schema
    of the future converts like any other. Has the submission graded first if that has not been
    done, and keeps its record for RecordedResults, which nbgrader runs next, with this exporter.
    """

    record: Record | None = None

    def from_filename(
        self, filename: str, resources: dict[str, Any] | None = None, **kw: Any
    ) -> Any:
        place = (resources or {}).get("nbgrader")
        converter = self.parent
        if resources is None or place is None or converter is None:
            return super().from_filename(filename, resources=resources, **kw)
        student, assignment = place["student"], place["assignment"]
        coursedir = converter.coursedir
        raw = coursedir.format_path(coursedir.submitted_directory, student, assignment)
        if os.path.normpath(Path(filename).parent) != os.path.normpath(raw):
            return super().from_filename(filename, resources=resources, **kw)
        course = load_course(Path(coursedir.root))
        self.record = judged(course, assignment, student)
        notebook = clean_notebook(course, assignment, student, self.record.language)
        mark(notebook, notebook_digest=notebook_digest(notebook))
        resources["metadata"] = {"name": Path(filename).stem, "path": str(Path(filename).parent)}
        return self.from_notebook_node(notebook, resources=resources, **kw)


class RecordedResults(NbGraderPreprocessor):  # type: ignore[misc] # nbgrader publishes no types
    """Write what is on record into the notebook, where stock nbgrader would execute it.

    Each test cell gets one `execute_result`, its points: without it, nbgrader gives full points.
    Nothing is written to stderr, and no error to a test cell: either would mean 0.
    """

    record = Instance(
        Record,
        allow_none=True,
        help="The record to write. Default: the current one, made first if there is none.",
    ).tag(config=True)

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        place = resources["nbgrader"]
        record = self.record or getattr(self.parent, "record", None)
        if record is None or record.student != place["student"]:
            course = load_course(Path(self.parent.parent.coursedir.root))
            record = judged(course, place["assignment"], place["student"])
        outcomes = {outcome.cell_id: outcome for outcome in record.cells}
        for cell in nb.cells:
            if cell.cell_type != "code":
                continue
            cell.outputs = []
            cell.execution_count = None
            if utils.is_grade(cell) and not utils.is_solution(cell):
                self._write_points(cell, record)
            elif (outcome := outcomes.get(cell.get("id", ""))) is not None:
                shown = "\n".join(text for text in (outcome.text, outcome.error) if text)
                if outcome.status not in {"ran", "raised"}:
                    shown = f"{shown}\n[{outcome.status}]".lstrip()
                if shown:
                    cell.outputs.append(nbformat.v4.new_output("stream", text=plain(shown)))
        mark(nb, record_digest=record_digest(record))
        resources[_RECORD] = record
        return nb, resources

    def _write_points(self, cell: NotebookNode, record: Record) -> None:
        grade_id = cell.metadata.nbgrader["grade_id"]
        score = score_cell(record, grade_id, float(cell.metadata.nbgrader["points"]))
        points = {"text/plain": repr(score.points or 0.0)}
        cell.outputs = [
            nbformat.v4.new_output("stream", text=_summary(record, grade_id)),
            nbformat.v4.new_output("execute_result", data=points),
        ]


class MarkForReview(NbGraderPreprocessor):  # type: ignore[misc] # nbgrader publishes no types
    """Flag what we could not judge, and name the misconceptions found.

    Stands behind SaveAutoGrades, which resets the flag, and needs RecordedResults before both.
    A flagged cell needs manual grading in nbgrader's sense, so formgrader lists it; it is never a
    silent zero. nbgrader itself flags an answer to a written question, and everything that was
    graded by hand before.
    """

    settled = List(
        Unicode(),
        help="Written questions that were graded by hand, and whose answers are as they were then.",
    ).tag(config=True)

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        place = resources["nbgrader"]
        where = (place["notebook"], place["assignment"], place["student"])
        record: Record = resources[_RECORD]
        with Gradebook(place["db_url"]) as gradebook:
            for name in self.settled:
                gradebook.find_grade(name, *where).needs_manual_grade = False
            for cell in nb.cells:
                if not utils.is_grade(cell) or utils.is_solution(cell) or cell.cell_type != "code":
                    continue
                grade_id = cell.metadata.nbgrader["grade_id"]
                score = score_cell(record, grade_id, float(cell.metadata.nbgrader["points"]))
                if score.needs_review:
                    grade = gradebook.find_grade(grade_id, *where)
                    grade.needs_manual_grade = True
                    grade.auto_score = score.points
                result = exercise_of(record, grade_id)
                if result is not None and result.codes:
                    try:
                        comment = gradebook.find_comment(result.name, *where)
                    except MissingEntry:  # the exercise's cell is no solution cell
                        continue
                    comment.auto_comment = f"Named: {', '.join(result.codes)}"[:COMMENT_LIMIT_CHARS]
            gradebook.db.commit()
        return nb, resources


class WithoutGuides(NbGraderPreprocessor):  # type: ignore[misc] # nbgrader publishes no types
    """Take the model answers and rubrics out of the notebook that nbgrader makes a page of."""

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        nb.cells = [cell for cell in nb.cells if not cell.get("id", "").startswith(GUIDE_PREFIX)]
        return nb, resources


class FeedbackPage(HTMLExporter):  # type: ignore[misc] # nbconvert publishes no types
    """Write our feedback page where `nbgrader generate_feedback` writes its own.

    What nbgrader releases is then the accessible page, with what a TA changed in formgrader in it.
    A submission without a record gets nbgrader's page, sanitised.
    """

    def from_filename(
        self, filename: str, resources: dict[str, Any] | None = None, **kw: Any
    ) -> Any:
        place = (resources or {}).get("nbgrader")
        converter = self.parent
        if resources is not None and place is not None and converter is not None:
            from shardwork.feedback import page_on_file

            try:
                course = load_course(Path(converter.coursedir.root))
                page = page_on_file(course, place["assignment"], place["student"])
            except (FileNotFoundError, NothingMatched):  # nothing on record, or not our assignment
                page = None
            if page is not None:
                resources["output_extension"] = self.file_extension
                return page, resources
        return super().from_filename(filename, resources=resources, **kw)


def judged(course: Course, assignment: str, student: str) -> Record:
    """Return the current record of a submission, having it graded first if there is none.

    The engine runs in a thread of its own: formgrader calls this inside its event loop.
    """
    from shardwork.batch import grade_one

    course.assignment(assignment)
    with ThreadPoolExecutor(1, thread_name_prefix="shardwork-grade-one") as pool:
        return pool.submit(grade_one, course, assignment, student).result()


def register(assignment: str, student: str, notebooks: list[str]) -> None:
    """Enter the assignment into the gradebook if it is not there: after a fresh clone it is not.

    A hook of nbgrader, called before each submission, in the course folder (its arguments).
    """
    course = load_course(Path.cwd())
    if not any(known.name == assignment for known in course.config.assignments):
        return
    with lock(course):
        ensure_registered(course, assignment)


def remove_foreign_files(assignment: str, student: str, notebooks: list[str]) -> None:
    """Remove from `autograded/` what nbgrader copied there from a student's folder.

    nbgrader follows symbolic links when it copies. Only the notebook, its time stamp and what the
    instructor provides stay. A hook of nbgrader, called after each submission, in the course folder
    (its arguments).
    """
    for notebook in notebooks:
        raw = Path(notebook).parent
        folder = Path.cwd() / "autograded" / raw.parent.name / raw.name
        provided = Path.cwd() / "source" / raw.name
        for path in sorted(folder.rglob("*"), reverse=True):
            name = path.relative_to(folder)
            kept = name.name in {"timestamp.txt", Path(notebook).name} and len(name.parts) == 1
            if kept or (provided / name).exists():
                continue
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()


def _summary(record: Record, grade_id: str) -> str:
    """Return what a TA reads under the test cell in formgrader."""
    result = exercise_of(record, grade_id)
    if result is None:
        return f"Not judged: {plain(record.reason) or record.status}\n"
    lines = []
    for check in result.checks:
        code = f" [{check.code}]" if check.code else ""
        lines.append(f"{check.verdict.value}{code}: {plain(check.line, 300, 3)}")
        if check.message and check.verdict is not Verdict.PASSED:
            # Students see this notebook, too: a name that they chose may hold a hidden input.
            values = shown_values(check.message, check.evidence)
            lines.append(f"    {plain(filled(check.message, values), 600, 10)}")
    if result.provisional:
        lines.append("Could not be judged completely: an error of ours. Please grade by hand.")
    return "\n".join(lines) + "\n"
