"""Ingest: bytes that a student handed in become a notebook that the engine made.

The file is parsed as hostile input: bounded, never validated by a library that could be led to do
work, never written anywhere. What will run is the released notebook with the student's solution
cells put in, and the code cells that the student added at their places. Edited metadata, points and
locked cells have no effect; they are noticed.
"""

from __future__ import annotations

import copy
import difflib
import errno
import hashlib
import json
import os
import stat
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import nbformat
from nbformat import NotebookNode

from shardwork.course import Assignment, Course
from shardwork.notebook import Role, role
from shardwork.plaintext import plain_line
from shardwork.record import ADDED_PREFIX, Notice, NoticeKind
from shardwork.starter import starter_notebook

MAX_FILE_BYTES = 8 << 20
MAX_CELLS = 2_000
MAX_SOURCE_CHARS = 200_000
MAX_ADDED_CELLS = 200
_GRADING_KEYS = ("points", "grade", "locked", "solution", "task", "schema_version", "cell_type")


class Refused(Exception):
    """The submission holds nothing that can be judged. The text says why and what to do."""


class Ingested(msgspec.Struct, frozen=True):
    """One submission as it goes on: `notebook` is None if it was refused, and `reason` says why.

    `digest` is the SHA-256 of the file's bytes. `undecided` names exercises for which the
    submission holds several different answers.
    """

    student: str
    digest: str
    language: str
    notebook: NotebookNode | None
    reason: str = ""
    notices: tuple[Notice, ...] = ()
    undecided: tuple[str, ...] = ()


class _Cell(msgspec.Struct, frozen=True):
    """What is taken from a submitted cell; nothing else of it is looked at."""

    kind: str
    id: str
    grade_id: str
    source: str
    grading: dict[str, Any]


def students_of(course: Course, assignment: Assignment) -> list[str]:
    """Return the students who have a folder for this assignment in `submitted/`, sorted.

    A folder's name may be one that no student can have (`recordfile.check_student`): whoever grades
    says so for this one, and goes on with the others.
    """
    if not course.submitted.is_dir():
        return []
    return sorted(
        folder.name
        for folder in course.submitted.iterdir()
        if folder.is_dir() and not folder.is_symlink() and not folder.name.startswith(".")
        and (folder / assignment.name).is_dir()
    )  # fmt: skip


def ingest(course: Course, assignment: Assignment, student: str) -> Ingested:
    """Read what `student` handed in and rebuild the notebook that will run.

    Whatever the student handed in, this returns; CourseError means that the course has no release
    to rebuild from.
    """
    folder = course.submitted / student / assignment.name
    first = course.config.languages[0]
    data = b""
    try:
        data = _read(folder, f"{assignment.name}.ipynb")
        raw = _parse(data)
        language = _language(raw, course.config.languages)
        cells = _cells(raw)
        template = starter_notebook(course, assignment.name, language)
        _reject_other_assignment(raw, cells, template, assignment)
    except Refused as refusal:
        digest = hashlib.sha256(data or str(refusal).encode()).hexdigest()
        reason = f"{assignment.name}/{student}: {refusal}"
        return Ingested(student, digest, first, None, reason)
    notebook, notices, undecided = _rebuild(template, cells, assignment)
    return Ingested(
        student, hashlib.sha256(data).hexdigest(), language, notebook, "", tuple(notices), undecided
    )


def _read(folder: Path, name: str) -> bytes:
    """Read a file that must be a plain one of bounded size, whatever lies under its name."""
    path = folder / name
    if folder.is_symlink():
        raise Refused("its folder is a link. Put the folder itself there and grade again.")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        found = sorted(p.name for p in folder.iterdir())[:5] if folder.is_dir() else []
        listed = ", ".join(plain_line(n, 60) for n in found) or "nothing"
        raise Refused(
            f"there is no {name}; found: {listed}. If the notebook has another name, rename it and "
            "grade again."
        ) from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise Refused(f"{name} is a link or a special file, not a notebook.") from None
        raise Refused(f"{name} could not be read: {error.strerror}.") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Refused(f"{name} is no plain file.")
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise Refused(
            f"{name} is larger than {MAX_FILE_BYTES >> 20} MB. Clear the outputs, save and grade "
            "again."
        )
    return data


def _parse(data: bytes) -> dict[str, Any]:
    if not data.strip():
        raise Refused("the file is empty.")
    try:
        raw = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise Refused("the file is no notebook: it is not UTF-8 text.") from None
    except (ValueError, RecursionError) as error:
        text = plain_line(str(error), 100)
        raise Refused(f"the file is no notebook: it is no JSON ({text}).") from None
    if not isinstance(raw, dict) or not isinstance(raw.get("cells"), list):
        raise Refused("the file is no notebook: it is JSON without a list of cells.")
    if raw.get("nbformat") != 4:
        version = raw.get("nbformat")
        plain = isinstance(version, (int, float, str))  # repr() of a deep list would not return
        found = plain_line(repr(version), 40) if plain else "no number"
        raise Refused(
            f"the notebook has format {found}; only format 4 is read. Open it in JupyterLab, "
            "save it and grade again."
        )
    if len(raw["cells"]) > MAX_CELLS:
        raise Refused(f"the notebook has {len(raw['cells'])} cells; at most {MAX_CELLS} are read.")
    return raw


def _language(raw: dict[str, Any], known: tuple[str, ...]) -> str:
    named = _dict(_dict(raw.get("metadata")).get("shardwork")).get("language")
    return named if isinstance(named, str) and named in known else known[0]


def _cells(raw: dict[str, Any]) -> list[_Cell]:
    return [
        _Cell(
            kind=_text(cell.get("cell_type")),
            id=_text(cell.get("id")),
            grade_id=_text(_dict(_dict(cell.get("metadata")).get("nbgrader")).get("grade_id")),
            source=_source(cell.get("source")),
            grading={
                key: value
                for key, value in _dict(_dict(cell.get("metadata")).get("nbgrader")).items()
                if key in _GRADING_KEYS
            },
        )
        for cell in raw["cells"]
        if isinstance(cell, dict)
    ]


def _source(source: object) -> str:
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    if not isinstance(source, str):
        return ""
    if len(source) > MAX_SOURCE_CHARS:
        raise Refused(
            f"a cell holds {len(source)} characters; at most {MAX_SOURCE_CHARS} are read."
        )
    return source.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def _text(value: object) -> str:
    return plain_line(value, 100) if isinstance(value, str) else ""


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _reject_other_assignment(
    raw: dict[str, Any], cells: list[_Cell], template: NotebookNode, assignment: Assignment
) -> None:
    named = _dict(_dict(raw.get("metadata")).get("shardwork")).get("assignment")
    # "setup" is a cell of every assignment
    known = {c.id for c in template.cells} | {e.name for e in assignment.exercises}
    known.discard("setup")
    if isinstance(named, str) and named != assignment.name:
        raise Refused(
            f"this is the notebook of {plain_line(named, 60)}, not of {assignment.name}. Ask the "
            "student for the right one, or move it to its folder, and grade again."
        )
    if not any(cell.id in known or cell.grade_id in known for cell in cells):
        raise Refused(
            f"this is another notebook: none of its cells is one of {assignment.name}. Ask the "
            "student for the released notebook with the answers in it, and grade again."
        )


def _rebuild(
    template: NotebookNode, cells: list[_Cell], assignment: Assignment
) -> tuple[NotebookNode, list[Notice], tuple[str, ...]]:
    notebook = copy.deepcopy(template)
    notices: list[Notice] = []
    undecided: list[str] = []
    by_name: dict[str, list[_Cell]] = defaultdict(list)
    known = {cell.id for cell in template.cells}
    for cell in cells:
        by_name[_name(cell, known)].append(cell)
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        mine = by_name.get(cell.id, [])
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
        elif mine and all(c.source.strip() != cell.source.strip() for c in mine):
            notices.append(_restored(cell.id))
        notices += _edited_metadata(cell, mine)
    _insert_added(notebook, template, cells, known)
    return notebook, notices, tuple(undecided)


def _name(cell: _Cell, known: set[str]) -> str:
    """Return the name by which a submitted cell is known: its grade id, or its id without one."""
    return cell.grade_id if cell.grade_id in known else cell.id


def _duplicated(name: str, times: int) -> Notice:
    return Notice(
        NoticeKind.CELL_DUPLICATED, name,
        f"There are {times} different cells `{name}`. A teaching assistant decides which one "
        "counts: delete the others in the submitted notebook and grade again.",
        flagged=True,
    )  # fmt: skip


def _missing(name: str, cells: list[_Cell], known: set[str]) -> Notice:
    strangers = [
        n for c in cells if c.kind == "code" and (n := c.grade_id or c.id) and n not in known
    ]
    similar = difflib.get_close_matches(name, strangers, n=1)
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


def _edited_metadata(cell: NotebookNode, mine: list[_Cell]) -> Iterator[Notice]:
    ours = cell.metadata.get("nbgrader", {})
    for submitted in mine:
        changed = [
            key for key in _GRADING_KEYS
            if key in submitted.grading and submitted.grading[key] != ours.get(key)
        ]  # fmt: skip
        if submitted.grade_id and submitted.grade_id != ours.get("grade_id"):
            changed.append("grade_id")
        if ours and changed:
            yield Notice(
                NoticeKind.METADATA_EDITED, cell.id,
                f"The grading data of the cell `{cell.id}` had been edited ({', '.join(changed)}); "
                "it has no effect.",
            )  # fmt: skip


def _insert_added(
    notebook: NotebookNode, template: NotebookNode, cells: list[_Cell], known: set[str]
) -> None:
    """Put the code cells that the student added behind the known cell they stood behind."""
    after: dict[str | None, list[NotebookNode]] = defaultdict(list)
    place: str | None = None
    added = 0
    for cell in cells:
        name = _name(cell, known)
        if name in known:
            place = name
        elif cell.kind == "code" and cell.source.strip() and added < MAX_ADDED_CELLS:
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
