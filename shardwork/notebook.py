"""Source notebooks: what a chapter's cells are, what each exercise's reference is, filling it in.

Pure functions over nbformat notebooks of the trusted side. Nothing here runs a cell, reads what a
student handed in (see `shardwork.ingest`) or knows how a release is made (see `shardwork.release`).

An exercise has two cells, both named after it: the solution cell `key_stats` holds the function
with its docstring and, between `### BEGIN SOLUTION` and `### END SOLUTION`, the reference; the test
cell `test_key_stats` holds the points. A written question has one cell of its name: a markdown cell
with the model answer and the rubric, which a student gets empty. `docs/author.md` lists the
conventions held here.
"""

from __future__ import annotations

import ast
import copy
import enum
import json
import re
import symtable
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import nbformat

from shardwork.course import Assignment, Course
from shardwork.errors import CourseError

Notebook: TypeAlias = nbformat.NotebookNode
Cell: TypeAlias = nbformat.NotebookNode

SETUP_ID = "setup"
BEGIN_SOLUTION = "BEGIN SOLUTION"
END_SOLUTION = "END SOLUTION"
KERNEL = "python3"
RUBRIC = "### Rubric"
"""Heading in the cell of a written question: above it the model answer, below it the rubric."""
_RUBRIC_ITEM = re.compile(r"^- \*\*(\d+(?:\.\d+)?) points?\.\*\* \S", re.MULTILINE)


class Role(enum.Enum):
    """What a cell is for. `OTHER` is code without the tag `example`."""

    SETUP = "setup"
    LESSON = "lesson"
    EXAMPLE = "example"
    SOLUTION = "solution"
    TEST = "test"
    WRITTEN = "written"
    OTHER = "other"


def id_of_solution(exercise: str) -> str:
    """Return the id and nbgrader grade_id of the exercise's solution cell."""
    return exercise


def id_of_test(exercise: str) -> str:
    """Return the id and nbgrader grade_id of the exercise's test cell."""
    return f"test_{exercise}"


def role(cell: Cell) -> Role:
    """Return what the cell is for, by its nbgrader metadata and tags (never by its text)."""
    meta = cell.metadata.get("nbgrader", {})
    if cell.cell_type != "code":
        if cell.cell_type == "markdown" and meta.get("grade") and meta.get("solution"):
            return Role.WRITTEN
        graded = meta.get("grade") or meta.get("solution") or meta.get("task")
        return Role.LESSON if cell.cell_type == "markdown" and not graded else Role.OTHER
    if meta.get("solution"):
        return Role.SOLUTION
    if meta.get("grade"):
        return Role.TEST
    if meta.get("grade_id") == SETUP_ID:
        return Role.SETUP
    return Role.EXAMPLE if "example" in cell.metadata.get("tags", []) else Role.OTHER


def load_source(course: Course, assignment: str) -> Notebook:
    """Read the source notebook of an assignment and hold it against the conventions.

    Raises CourseError with every deviation found, each naming its cell and what to do.
    """
    path = course.source_notebook(assignment)
    nb = read_notebook(path)
    found = problems(nb, course.whole(assignment))
    if found:
        listed = "\n".join(f"  - {problem}" for problem in found)
        raise CourseError(f"{path} is not as a source notebook must be:\n{listed}")
    return nb


def read_notebook(path: Path) -> Notebook:
    """Read a notebook without judging its cells; CourseError unless it is valid nbformat 4.5."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CourseError(
            f"{path} does not exist. Write it, or take the assignment out of course_config.py."
        ) from None
    except UnicodeDecodeError as error:
        raise CourseError(f"{path} is not UTF-8 text: {error}.") from error
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise CourseError(
            f"{path}, line {error.lineno}: not a notebook, because it is no JSON ({error.msg})."
        ) from error
    version = (raw.get("nbformat"), raw.get("nbformat_minor")) if isinstance(raw, dict) else None
    if version is None or version[0] != 4 or not isinstance(version[1], int) or version[1] < 5:
        raise CourseError(
            f"{path} is no notebook of format 4.5 (found {version}), so its cells have no stable "
            "ids. Open it in JupyterLab and save it again."
        )
    try:
        _reject_repaired_ids(path, raw)
        nbformat.validate(raw)
    except nbformat.ValidationError as error:
        reason = str(error).splitlines()[0]
        raise CourseError(f"{path} is no valid notebook: {reason}") from error
    return nbformat.v4.reads_json(text)


def problems(nb: Notebook, assignment: Assignment) -> list[str]:
    """Say how a notebook deviates from the conventions of a source notebook; [] if it does not."""
    exercises = {exercise.name: exercise.points for exercise in assignment.exercises}
    written = {question.name: question.points for question in assignment.written}
    found = _notebook_problems(nb, assignment)
    ids = [cell.id for cell in nb.cells]
    for cell in nb.cells:
        if role(cell) is Role.WRITTEN:
            found += _written_problems(cell, written)
        found += _cell_problems(cell, exercises)
        found += [
            f"cell {cell.id!r} binds {name!r}, which is what an exercise asks for: after the whole "
            "notebook has run, the student's is gone; use another name there"
            for name in sorted(_bound(cell) & exercises.keys())
        ]
    for exercise in exercises:
        if id_of_solution(exercise) not in ids:
            found.append(
                f"exercise {exercise!r} has no solution cell; give its code cell the id "
                f"{id_of_solution(exercise)!r}, or take it out of course_config.py"
            )
        if id_of_test(exercise) not in ids:
            found.append(
                f"exercise {exercise!r} has no test cell; add a code cell with the id "
                f"{id_of_test(exercise)!r} that says {_check_call(exercise)}"
            )
    found += [
        f"written question {name!r} has no answer cell; add a markdown cell with the id {name!r}, "
        "the model answer and the rubric, or take it out of course_config.py"
        for name in written
        if name not in ids
    ]
    if SETUP_ID not in ids:
        found.append(f"there is no set-up cell; add a locked code cell with the id {SETUP_ID!r}")
    return found


def _bound(cell: Cell) -> set[str]:
    """Return the names that a code cell of the course binds in the notebook's namespace."""
    if cell.cell_type != "code" or role(cell) is Role.SOLUTION:
        return set()
    try:
        block = symtable.symtable(cell.source, str(cell.id), "exec")
    except SyntaxError:  # such as a line magic
        return set()
    return {s.get_name() for s in block.get_symbols() if s.is_assigned() or s.is_imported()}


def reference(nb: Notebook, exercise: str) -> str:
    """Return the source of the solution cell without the lines that mark the solution region."""
    return unmarked(solution_cell(nb, exercise).source)


def unmarked(source: str) -> str:
    """Return the source without the lines that mark a solution region."""
    lines = source.split("\n")
    return "\n".join(li for li in lines if BEGIN_SOLUTION not in li and END_SOLUTION not in li)


def solution_region(source: str) -> str:
    """Return the text between the markers of a solution cell, without them; "" if it has none."""
    lines = source.split("\n")
    return "\n".join(lines[i] for region in regions(source) for i in region)


def regions(source: str) -> list[range]:
    """Return which lines, counted from 0, stand between each pair of markers, in their order.

    A cell that defines several things has a region in each; [] if the markers do not pair up.
    """
    found = []
    begin: int | None = None
    for number, line in enumerate(source.split("\n")):
        if BEGIN_SOLUTION in line:
            if begin is not None:
                return []
            begin = number
        elif END_SOLUTION in line:
            if begin is None:
                return []
            found.append(range(begin + 1, number))
            begin = None
    return found if begin is None else []


def starter_source(source: str) -> str:
    """Return what a student gets in place of a solution cell, made by nbgrader's ClearSolutions.

    Importing nbgrader costs about two seconds, once.
    """
    from nbgrader.preprocessors import ClearSolutions

    cell = nbformat.v4.new_code_cell(source, metadata={"nbgrader": {"solution": True}})
    cleared, _ = ClearSolutions().preprocess_cell(cell, {"language": "python"}, 0)
    return str(cleared.source)


def without(nb: Notebook, names: Collection[str]) -> Notebook:
    """Return a copy without the cells of these exercises and written questions.

    The cells of `key_stats` are `key_stats`, `test_key_stats` and all whose id begins `key_stats-`.
    """
    rest = copy.copy(nb)
    rest.cells = [cell for cell in nb.cells if owner(cell) not in names]
    return rest


def owner(cell: Cell) -> str:
    """Return the name of the exercise or question that the cell's id would make it part of."""
    return str(cell.id).partition("-")[0].removeprefix("test_")


def written_cells(nb: Notebook) -> dict[str, Cell]:
    """Return the answer cells of the written questions, by name, in the order of the notebook."""
    return {cell.id: cell for cell in nb.cells if role(cell) is Role.WRITTEN}


def solution_cell(nb: Notebook, exercise: str) -> Cell:
    """Return the solution cell of an exercise; CourseError names the exercises there are."""
    cells = {cell.id: cell for cell in nb.cells if role(cell) is Role.SOLUTION}
    if id_of_solution(exercise) not in cells:
        raise CourseError(
            f"The notebook has no exercise {exercise!r}; it has: {', '.join(cells) or 'none'}."
        )
    return cells[id_of_solution(exercise)]


def fill(nb: Notebook, sources: Mapping[str, str]) -> Notebook:
    """Return a copy in which the solution cell of each exercise named has the source given."""
    filled = copy.deepcopy(nb)
    for exercise, source in sources.items():
        solution_cell(filled, exercise).source = source
    return filled


def _reject_repaired_ids(path: Path, nb: dict[str, Any]) -> None:
    """Refuse ids that nbformat's validation would quietly make anew."""
    cells = nb.get("cells")
    if not isinstance(cells, list):
        raise CourseError(f"{path} is no valid notebook: it has no list of cells.")
    ids = [cell.get("id") if isinstance(cell, dict) else None for cell in cells]
    if None in ids:
        raise CourseError(f"{path}: cell number {ids.index(None) + 1} has no id; give it one.")
    repeated = [name for name, times in Counter(ids).items() if times > 1]
    if repeated:
        raise CourseError(
            f"{path}: the cell id {repeated[0]!r} stands {ids.count(repeated[0])} times. Rename or "
            "delete the copies."
        )


def _notebook_problems(nb: Notebook, assignment: Assignment) -> list[str]:
    found = []
    kernel = nb.metadata.get("kernelspec", {}).get("name")
    if kernel != KERNEL:
        found.append(f"metadata kernelspec.name is {kernel!r}; set it to {KERNEL!r}")
    named = nb.metadata.get("shardwork", {}).get("assignment")
    if named != assignment.name:
        found.append(f"metadata shardwork.assignment is {named!r}; set it to {assignment.name!r}")
    return found


def _cell_problems(cell: Cell, exercises: Mapping[str, float]) -> list[str]:
    at = f"cell {cell.id!r}"
    found = []
    if cell.cell_type == "code" and (cell.outputs or cell.execution_count is not None):
        found.append(f"{at} keeps what it printed; clear all outputs and save")
    kind = role(cell)
    if kind is Role.SETUP:
        found += _expect(cell, SETUP_ID, grade=False, locked=True, solution=False)
    elif kind is Role.SOLUTION:
        found += _solution_problems(cell, exercises)
    elif kind is Role.TEST:
        found += _test_problems(cell, exercises)
    elif cell.cell_type == "code":
        if cell.id == SETUP_ID:
            found.append(f"{at} has no nbgrader metadata with the grade_id {SETUP_ID!r}; add it")
        if cell.id in exercises:
            found.append(f"{at} is not marked as a solution in its nbgrader metadata; mark it")
    if kind is not Role.SOLUTION and (BEGIN_SOLUTION in cell.source or END_SOLUTION in cell.source):
        found.append(f"{at} has a solution marker, but is no solution cell; take the marker out")
    return found


def _solution_problems(cell: Cell, exercises: Mapping[str, float]) -> list[str]:
    at = f"cell {cell.id!r}"
    if cell.id not in exercises:
        known = ", ".join(exercises)
        return [f"{at} is a solution cell of no exercise in course_config.py (it has: {known})"]
    found = _expect(cell, id_of_solution(cell.id), grade=False, locked=False, solution=True)
    begins = cell.source.count(BEGIN_SOLUTION)
    ends = cell.source.count(END_SOLUTION)
    solved = regions(cell.source)
    if not solved or not all(solved):
        return [
            *found,
            f"{at} has {begins} line(s) with {BEGIN_SOLUTION} and {ends} with {END_SOLUTION}; it "
            "needs them in pairs, one at least, with the reference between them",
        ]
    try:
        tree = ast.parse(unmarked(cell.source))
    except SyntaxError as error:
        return [*found, f"{at}, line {error.lineno} of the reference: {error.msg}"]
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    defined = [node for node in tree.body if isinstance(node, kinds) and node.name == cell.id]
    if not defined:
        found.append(f"{at} defines no function or class {cell.id!r} at its top level")
    elif not ast.get_docstring(defined[0]):
        found.append(f"{at}: {cell.id!r} has no docstring; give shapes, units and errors in one")
    elif any(
        # Two markers for each region before it, and one for its own, are not in the parsed text.
        defined[0].body[0].lineno in range(region.start - 2 * i, region.stop - 2 * i)
        for i, region in enumerate(solved)
    ):
        found.append(f"{at}: the docstring stands in the solution region; move it above the marker")
    return found


def _test_problems(cell: Cell, exercises: Mapping[str, float]) -> list[str]:
    at = f"cell {cell.id!r}"
    by_test = {id_of_test(exercise): exercise for exercise in exercises}
    if cell.id not in by_test:
        known = ", ".join(by_test)
        return [f"{at} is a test cell of no exercise in course_config.py (expected: {known})"]
    exercise = by_test[cell.id]
    found = _expect(cell, cell.id, grade=True, locked=True, solution=False)
    points = cell.metadata.nbgrader.get("points")
    if points != exercises[exercise]:
        found.append(
            f"{at} gives {points!r} points, and course_config.py gives {exercise!r} "
            f"{exercises[exercise]!r}; make them equal"
        )
    if cell.source.strip() != _check_call(exercise):
        found.append(f"{at} must say {_check_call(exercise)} and nothing else")
    return found


def _written_problems(cell: Cell, written: Mapping[str, float]) -> list[str]:
    at = f"cell {cell.id!r}"
    if cell.id not in written:
        known = ", ".join(written) or "none"
        return [f"{at} is the answer to no written question in course_config.py (it has: {known})"]
    found = _expect(cell, cell.id, grade=True, locked=False, solution=True)
    points = cell.metadata.nbgrader.get("points")
    if points != written[cell.id]:
        found.append(
            f"{at} gives {points!r} points, and course_config.py gives {cell.id!r} "
            f"{written[cell.id]!r}; make them equal"
        )
    model, heading, rubric = cell.source.partition(f"\n{RUBRIC}\n")
    if not heading or not model.strip():
        found.append(f"{at} needs a model answer, then the line {RUBRIC!r}, then the rubric")
        return found
    items = [float(item) for item in _RUBRIC_ITEM.findall(rubric)]
    if abs(sum(items) - written[cell.id]) > 1e-9:
        found.append(
            f"{at}: the items of the rubric are worth {sum(items):g} points, and the question "
            f"{written[cell.id]:g}; an item is a line that begins `- **1 point.** `"
        )
    return found


def _expect(cell: Cell, grade_id: str, *, grade: bool, locked: bool, solution: bool) -> list[str]:
    """Hold a cell's nbgrader metadata against what its role asks for."""
    expected: dict[str, Any] = {
        "grade_id": grade_id,
        "grade": grade,
        "locked": locked,
        "solution": solution,
        "task": False,
        "schema_version": 3,
        "cell_type": cell.cell_type,
    }
    meta = cell.metadata.nbgrader
    found = [
        f"cell {cell.id!r} has nbgrader {key} {meta.get(key)!r}; set it to {value!r}"
        for key, value in expected.items()
        if meta.get(key) != value
    ]
    if cell.id != grade_id:
        found.append(f"cell {cell.id!r} has the grade_id {grade_id!r}; make its id the same")
    return found


def _check_call(exercise: str) -> str:
    return f'grader.check("{exercise}")'
