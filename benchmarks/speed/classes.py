"""The class that is graded: reference solutions in the released notebooks, for each tool.

All three get the same bytes. Stock nbgrader gets a course of its own, so that nothing of ours is
configured in it, and Shardwork a copy, so that no real grade is touched.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import nbformat

from shardwork.course import Assignment, Course, load_course
from shardwork.notebook import fill
from shardwork.starter import starter_notebook
from shardwork.verify import Kind, solutions_of

REPOSITORY = Path(__file__).resolve().parents[2]
LANGUAGE = "en"
CELL_LIMIT_S = 600
"""For the stock tools, whose limits count wall seconds: no machine is too slow for them."""
_PARTS = ("course_config.py", "nbgrader_config.py", "source", "graders", "locale", "release")
_STOCK_CONFIG = f"""\
c = get_config()  # noqa: F821
c.CourseDirectory.course_id = "stock"
c.Execute.timeout = {CELL_LIMIT_S}
"""


def names_of_students(count: int) -> list[str]:
    return [f"student-{number:03}" for number in range(1, count + 1)]


def reference_text(course: Course, assignment: Assignment) -> str:
    """Return the released notebook with the reference solution in every exercise, as a file."""
    sources = {}
    for exercise in assignment.exercises:
        solutions = solutions_of(course, assignment.name, exercise.name)
        sources[exercise.name] = next(s.source for s in solutions if s.kind is Kind.REFERENCE)
    notebook = fill(starter_notebook(course, assignment.name, LANGUAGE), sources)
    return str(nbformat.writes(notebook))


def hand_in(submitted: Path, assignment: str, students: Sequence[str], text: str) -> list[Path]:
    """Write each student's file where nbgrader and Shardwork look for it; return their paths."""
    paths = []
    for student in students:
        path = submitted / student / assignment / f"{assignment}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def copy_course(root: Path) -> Course:
    """Copy the repository's course, without what anybody handed in, and load it."""
    ignored = shutil.ignore_patterns("__pycache__", ".*")
    root.mkdir(parents=True)
    for part in _PARTS:
        if (REPOSITORY / part).is_dir():
            shutil.copytree(REPOSITORY / part, root / part, ignore=ignored)
        else:
            shutil.copyfile(REPOSITORY / part, root / part)
    return load_course(root)


def stock_course(root: Path, assignments: Sequence[str]) -> Path:
    """Make a course of stock nbgrader with our source notebooks; no assignment is generated yet."""
    for name in assignments:
        shutil.copytree(REPOSITORY / "source" / name, root / "source" / name)
    (root / "nbgrader_config.py").write_text(_STOCK_CONFIG, encoding="utf-8")
    return root
