"""The released notebook of an assignment: what every student began with.

Ingest rebuilds a submission from it, and the gradebook shows it where there is nothing to rebuild.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shardwork.course import Course
from shardwork.errors import CourseError

if TYPE_CHECKING:
    from nbformat import NotebookNode


def starter_notebook(course: Course, assignment: str, language: str = "") -> NotebookNode:
    """Return the released notebook of `assignment`, in `language` if it is released in it.

    Raises CourseError if there is no release.
    """
    import nbformat

    languages = (language, *course.config.languages)
    name = f"{assignment}.ipynb"
    paths = [course.release / code / assignment / name for code in languages if code]
    for path in paths:
        if path.is_file():
            return nbformat.read(path, as_version=4)
    raise CourseError(
        f"{paths[-1]} is missing. Run `shardwork release {assignment}`, then the same command "
        "again."
    )
