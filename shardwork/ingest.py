"""Ingest: bytes that a student handed in become a notebook that the engine made.

The file is read and decoded as hostile input (`notebookfile`). What will run is the released
notebook with the student's solution cells and written answers put in, and the code cells that the
student added at their places. Edited metadata, points and locked cells have no effect; they are
noticed. Nothing of what was handed in is written anywhere.
"""

from __future__ import annotations

import copy
import difflib
import hashlib
import itertools
import json
import os
import stat
from collections import defaultdict
from collections.abc import Iterator, Sequence

import msgspec
import nbformat
from nbformat import NotebookNode

from shardwork.course import Assignment, Course
from shardwork.notebook import Role, role
from shardwork.notebookfile import (
    Refused,
    SubmittedCell,
    SubmittedNotebook,
    decode_notebook,
    read_file,
)
from shardwork.plaintext import plain, plain_line
from shardwork.record import ADDED_PREFIX, Notice, NoticeKind, WrittenAnswer
from shardwork.starter import starter_notebook

MAX_ADDED_CELLS = 200
MAX_ANSWER_CHARS = 20_000
MAX_ANSWER_LINES = 1_000
"""What of a written answer goes on to formgrader: far more than a question asks for."""
MAX_SIMILAR = 100
"""How many unknown names a missing one is compared with: students choose how many there are."""


class Ingested(msgspec.Struct, frozen=True):
    """One submission as it goes on: `notebook` is None if it was refused, and `reason` says why.

    `digest` is the SHA-256 of the file's bytes. `sentence` is the part of the reason that a student
    reads, as a msgid of the engine's catalogue, with `values` for its placeholders. `undecided`
    names exercises for which the submission holds several different answers. `written` says of each
    written question whether it was answered; the answers themselves are in `notebook`.
    """

    student: str
    digest: str
    language: str
    notebook: NotebookNode | None
    reason: str = ""
    notices: tuple[Notice, ...] = ()
    undecided: tuple[str, ...] = ()
    written: tuple[WrittenAnswer, ...] = ()
    sentence: str = ""
    values: dict[str, str | int] = {}


def students_of(course: Course, assignment: Assignment) -> list[str]:
    """Return the students who have a folder for this assignment in `submitted/`, sorted.

    A folder's name may be one that no student can have (`recordfile.check_student`): whoever grades
    says so for this one, and goes on with the others. So may a folder be one that cannot be read.
    """
    if not course.submitted.is_dir():
        return []
    with os.scandir(course.submitted) as found:
        return sorted(
            entry.name
            for entry in found
            if not entry.name.startswith(".")
            and entry.is_dir(follow_symlinks=False)
            and _may_hold(os.path.join(entry.path, assignment.name))  # noqa: PTH118 - not normalised
        )


def _may_hold(path: str) -> bool:
    """Whether a folder is there. One that we may not look into may hold it: ingest says so."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116 - a Path would be made for each
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False


def ingest(course: Course, assignment: Assignment, student: str) -> Ingested:
    """Read what `student` handed in and rebuild the notebook that will run.

    Whatever the student handed in, this returns; CourseError means that the course has no release
    to rebuild from.
    """
    first = course.config.languages[0]
    data = b""
    try:
        data = read_file(course.submitted, student, assignment.name)
        submitted = decode_notebook(data)
        known = submitted.language in course.config.languages
        language = submitted.language if known else first
        template = starter_notebook(course, assignment.name, language)
        _reject_other_assignment(submitted, template, assignment)
    except Refused as refusal:
        digest = hashlib.sha256(data or str(refusal).encode()).hexdigest()
        reason = f"{assignment.name}/{student}: {refusal}"
        return Ingested(
            student, digest, first, None, reason,
            sentence=refusal.sentence, values=dict(refusal.values),
        )  # fmt: skip
    notebook, notices, undecided = _rebuild(template, submitted.cells, assignment)
    starters = {cell.id: cell.source for cell in template.cells}
    answers = {cell.id: cell.source for cell in notebook.cells}
    written = tuple(
        WrittenAnswer(q.name, q.points, answers.get(q.name) != starters.get(q.name))
        for q in assignment.written
    )
    return Ingested(
        student, hashlib.sha256(data).hexdigest(), language, notebook, "", tuple(notices),
        undecided, written,
    )  # fmt: skip


def _reject_other_assignment(
    submitted: SubmittedNotebook, template: NotebookNode, assignment: Assignment
) -> None:
    other = submitted.assignment
    # "setup" is a cell of every assignment
    known = {c.id for c in template.cells} | {e.name for e in assignment.exercises}
    known.discard("setup")
    if other and other != assignment.name:
        raise Refused(
            "This is the notebook of {other}, not of {assignment}.",
            "Ask the student for the right one, or move it to its folder, and grade again.",
            other=plain_line(other, 60), assignment=assignment.name,
        )  # fmt: skip
    if not any(cell.id in known or cell.grade_id in known for cell in submitted.cells):
        raise Refused(
            "This is another notebook: none of its cells is one of {assignment}.",
            "Ask the student for the released notebook with the answers in it, and grade again.",
            assignment=assignment.name,
        )


def _rebuild(
    template: NotebookNode, cells: Sequence[SubmittedCell], assignment: Assignment
) -> tuple[NotebookNode, list[Notice], tuple[str, ...]]:
    notebook = copy.deepcopy(template)
    notices: list[Notice] = []
    undecided: list[str] = []
    by_name: dict[str, list[SubmittedCell]] = defaultdict(list)
    known = {cell.id for cell in template.cells}
    for cell in cells:
        by_name[_name(cell, known)].append(cell)
    for cell in notebook.cells:
        mine = by_name.get(cell.id, [])
        if role(cell) is Role.WRITTEN:
            notices += _take_written(cell, mine, cells, known)
            notices += _edited_metadata(cell, mine)
        if cell.cell_type != "code":
            continue
        if role(cell) is Role.SOLUTION:
            answers = list(dict.fromkeys(c.source for c in mine if c.kind == "code"))
            if len(answers) > 1:
                written = [a for a in answers if a.strip() != cell.source.strip()]
                answers = written or answers[:1]
            if len(answers) > 1:
                undecided.append(cell.id)
                notices.append(_duplicated(cell.id, len(answers)))
            if not answers:
                notices.append(_missing(cell.id, cells, known))
            # Without its cell, the function may still stand in one that the student added.
            cell.source = answers[0] if answers else ""
        elif mine and all(_without_margin(c.source) != _without_margin(cell.source) for c in mine):
            notices.append(_restored(cell.id))
        notices += _edited_metadata(cell, mine)
    _insert_added(notebook, template, cells, known)
    return notebook, notices, tuple(undecided)


def _take_written(
    cell: NotebookNode, mine: Sequence[SubmittedCell], cells: Sequence[SubmittedCell],
    known: set[str],
) -> Iterator[Notice]:  # fmt: skip
    """Put the student's answer into the cell of a written question, and yield what to say of it.

    A person reads it, so several different answers are all kept, and the type of the cell does not
    matter. The starter's text stays where nothing was written; nbgrader knows the answer by that.
    """
    if not mine:
        yield _missing(cell.id, cells, known)
    blank = _without_margin(cell.source)
    answers = [a for a in dict.fromkeys(c.source.strip() for c in mine) if a]
    answers = [a for a in answers if _without_margin(a) != blank]
    if not answers:
        if _is_prose_beside(cells, cell.id, known):
            yield Notice(
                NoticeKind.ANSWER_ELSEWHERE, cell.id,
                f"The cell `{cell.id}` is empty, but the student added text beside it. If the "
                "answer stands there, copy it into the cell and grade again.",
                flagged=True,
            )  # fmt: skip
        return
    if len(answers) > 1:
        yield Notice(
            NoticeKind.CELL_DUPLICATED, cell.id,
            f"There are {len(answers)} different cells `{cell.id}`. All of them are shown in "
            "formgrader, one below the other.",
        )  # fmt: skip
    whole = "\n\n---\n\n".join(answers)
    text = plain(whole, MAX_ANSWER_CHARS, MAX_ANSWER_LINES)
    if text.endswith("…") and not whole.endswith("…"):
        yield Notice(
            NoticeKind.ANSWER_CUT, cell.id,
            f"The answer `{cell.id}` is longer than {MAX_ANSWER_CHARS:,} characters or "
            f"{MAX_ANSWER_LINES:,} lines; what is beyond is in the submitted notebook only.",
            flagged=True,
        )  # fmt: skip
    cell.source = text


def _is_prose_beside(cells: Sequence[SubmittedCell], name: str, known: set[str]) -> bool:
    """Whether the student added text right before or right behind the cell `name`."""
    before, added = "", False
    for cell in cells:
        here = _name(cell, known)
        if here in known:
            if added and name in (before, here):
                return True
            before, added = here, False
        elif cell.kind != "code" and cell.source.strip():
            added = True
    return added and before == name


def _without_margin(source: str) -> list[str]:
    """Return the lines without the space at their ends, which some editors take away or add."""
    return [line.rstrip() for line in source.strip().splitlines()]


def _name(cell: SubmittedCell, known: set[str]) -> str:
    """Return the name by which a submitted cell is known: its grade id, or its id without one."""
    return cell.grade_id if cell.grade_id in known else cell.id


def _duplicated(name: str, times: int) -> Notice:
    return Notice(
        NoticeKind.CELL_DUPLICATED, name,
        f"There are {times} different cells `{name}`. A teaching assistant decides which one "
        "counts: delete the others in the submitted notebook and grade again.",
        flagged=True,
    )  # fmt: skip


def _missing(name: str, cells: Sequence[SubmittedCell], known: set[str]) -> Notice:
    strangers = dict.fromkeys(
        n for c in cells if c.kind == "code" and (n := c.grade_id or c.id) and n not in known
    )
    similar = difflib.get_close_matches(name, itertools.islice(strangers, MAX_SIMILAR), n=1)
    found = f"; found `{similar[0]}`" if similar else ""
    return Notice(
        NoticeKind.CELL_MISSING, name,
        f"There is no cell `{name}`{found}. The cell was deleted, or its name was changed.",
        flagged=True,
    )  # fmt: skip


def _restored(name: str) -> Notice:
    return Notice(
        NoticeKind.CELL_RESTORED, name,
        f"The cell `{name}` belongs to the assignment and had been edited; it was judged as "
        "released.",
    )  # fmt: skip


def _edited_metadata(cell: NotebookNode, mine: Sequence[SubmittedCell]) -> Iterator[Notice]:
    """Yield one notice for a cell, in however many copies of it something was changed."""
    ours = cell.metadata.get("nbgrader", {})
    changed: dict[str, None] = {}
    for submitted in mine:
        for key, value in submitted.grading.items():
            if value != ours.get(key):
                changed[key] = None
        if submitted.grade_id and submitted.grade_id != ours.get("grade_id"):
            changed["grade_id"] = None
    if ours and changed:
        yield Notice(
            NoticeKind.METADATA_EDITED, cell.id,
            f"The grading data of the cell `{cell.id}` had been edited ({', '.join(changed)}); "
            "it has no effect.",
        )  # fmt: skip


def _insert_added(
    notebook: NotebookNode, template: NotebookNode, cells: Sequence[SubmittedCell], known: set[str]
) -> None:
    """Put the code cells that the student added behind the known cell they stood behind.

    A lesson that was made a code cell is one of them: it may hold a function that others call.
    """
    written = {c.id for c in template.cells if role(c) is Role.WRITTEN}
    lessons = {c.id: c.source.strip() for c in template.cells if c.cell_type != "code"}
    after: dict[str | None, list[NotebookNode]] = defaultdict(list)
    place: str | None = None
    added = 0
    for cell in cells:
        name = _name(cell, known)
        if name in known:
            place = name
        if name in written:
            continue
        is_own = name not in known or lessons.get(name, cell.source.strip()) != cell.source.strip()
        if is_own and cell.kind == "code" and cell.source.strip() and added < MAX_ADDED_CELLS:
            added += 1
            after[place].append(nbformat.v4.new_code_cell(cell.source, id=f"{ADDED_PREFIX}{added}"))
    setup = next((c.id for c in template.cells if role(c) is Role.SETUP), None)
    rebuilt = []
    for cell in notebook.cells:
        rebuilt.append(cell)
        rebuilt += after.pop(cell.id, [])
        if cell.id == setup:  # what stood above every known cell runs once the set-up has
            rebuilt += after.pop(None, [])
    notebook.cells = rebuilt


def code_digest(notebook: NotebookNode) -> str:
    """Return the SHA-256 of everything in a rebuilt notebook that can run."""
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(code).encode()).hexdigest()
