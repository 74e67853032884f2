"""The demonstration course: a copy of the course folder in which a made-up class hands in.

It lives in `build/demo`, so that a real class's submissions and grades are never touched. Its
working folders stay between runs: what is unchanged is not judged again.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from shardwork.course import Course, load_course

_PARTS = ("course_config.py", "nbgrader_config.py", "source", "graders", "locale")
_WORKING = ("submitted", "autograded", "records", "feedback", "report", "gradebook.db")


def demo_course(course: Course, *, force: bool = False) -> Course:
    """Bring `build/demo` up to date with the course, and return it as a course of its own.

    `force` starts with an empty one: no submissions, no records, no gradebook.
    """
    root = course.root / "build" / "demo"
    root.mkdir(parents=True, exist_ok=True)
    for name in (*_PARTS, *(_WORKING if force else ())):
        _remove(root / name)
    for name in _PARTS:
        path = course.root / name
        if path.is_dir():
            shutil.copytree(path, root / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        elif path.is_file():
            shutil.copyfile(path, root / name)
    return load_course(root)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
