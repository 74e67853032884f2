"""The student notebooks: `release/<language>/<assignment>/`, compiled by nbgrader from the source.

The source is translated first, as a folder of its own, and nbgrader's GenerateAssignment then makes
the release as it would from any course. The result is a pure function of `source/`, `locale/` and
the versions installed, byte for byte, so it can be checked in and compared. Whether it gives
anything away is `shardwork.leaks`; students' work comes in through `shardwork.ingest`.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

import nbformat

from shardwork.catalogue import (
    Counts,
    count,
    extract,
    load_catalogue,
    map_public_check,
    translate_notebook,
)
from shardwork.course import Assignment, Course, Track
from shardwork.errors import CourseError, NothingMatched
from shardwork.notebook import Notebook, load_source, without

IGNORED = (".OTTER_LOG", ".ipynb_checkpoints", "__pycache__", "*.pyc", ".DS_Store", "*~")
"""Traces of work in a source folder; never released."""

PUBLIC_CHECKS = "tests"


@dataclass(frozen=True)
class Compiled:
    """The release of one assignment in one language, in memory.

    `files` maps a path inside the release folder to its content; `counts` is None for the language
    that the source is written in.
    """

    assignment: str
    language: str
    files: Mapping[str, bytes]
    counts: Counts | None


def compile_release(
    course: Course, assignment: str, language: str, track: Track | None = None
) -> Compiled:
    """Compile one assignment in one language; nothing in the course folder is written.

    `track` defaults to the one in `course_config.py`. A release of the core track holds the cells
    and public checks of its exercises and questions, and whatever belongs to none.

    Raises CourseError if the source, a catalogue or a public check is wrong, or nbgrader refuses.
    Changes the working directory while nbgrader runs, so it is not for threads.
    """
    track = track or course.config.track
    if not course.whole(assignment).of_track(track).exercises:
        raise CourseError(
            f'{assignment} has no exercise of the {track.value} track. Give one `"track": '
            f'"{track.value}"` in course_config.py.'
        )
    if language not in course.config.languages:
        known = ", ".join(course.config.languages)
        raise NothingMatched(f"The course is not given in {language!r}; it is given in: {known}.")
    with tempfile.TemporaryDirectory(prefix="shardwork-release-") as folder:
        root = Path(folder)
        _stage(course, assignment, language, track, root / "source" / assignment)
        _generate(root, assignment, database=None)
        files = _read_tree(root / "release" / assignment)
    counts = None
    if language != course.config.languages[0]:
        catalogue = load_catalogue(course, language, assignment)
        counts = count(extract(course, assignment), catalogue)
    return Compiled(assignment, language, files, counts)


def release_folder(course: Course, assignment: str, language: str) -> Path:
    return course.release / language / assignment


def differing_files(course: Course, compiled: Compiled) -> list[str]:
    """List the files of a release, relative to the course, that are not as they would be compiled.

    Missing files and files that should not be there count; an empty list means up to date.
    """
    folder = release_folder(course, compiled.assignment, compiled.language)
    present = _read_tree(folder)
    names = sorted(present.keys() | compiled.files.keys())
    shown = folder.relative_to(course.root)
    return [
        (shown / name).as_posix() for name in names if present.get(name) != compiled.files.get(name)
    ]


def write_release(course: Course, compiled: Compiled) -> bool:
    """Put a compiled release in its place, if it differs; return whether it did.

    The new folder is complete before the old one is moved aside, and the old one comes back if the
    exchange fails, so the place never holds half a release.
    """
    if not differing_files(course, compiled):
        return False
    folder = release_folder(course, compiled.assignment, compiled.language)
    folder.parent.mkdir(parents=True, exist_ok=True)
    workspace = Path(tempfile.mkdtemp(prefix=f".{compiled.assignment}-", dir=folder.parent))
    new, old = workspace / "new", workspace / "old"
    try:
        for name, content in compiled.files.items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            (new / name).write_bytes(content)
        if folder.exists():
            folder.replace(old)
        try:
            new.replace(folder)
        except OSError:
            if old.exists():
                old.replace(folder)
            raise
    finally:
        shutil.rmtree(workspace, ignore_errors=True)
    return True


def register_assignment(course: Course, assignment: str) -> None:
    """Enter an assignment, in the course's first language, into the gradebook (`gradebook.db`).

    It is entered in the track in which it is released.

    Creates the gradebook if there is none. Repeating it is harmless: cells and points are updated,
    submissions and grades stay. Raises CourseError if nbgrader refuses, as it does when cells were
    added or removed after submissions came in. Changes the working directory while it runs.
    """
    config = course.assignment(assignment)
    with tempfile.TemporaryDirectory(prefix="shardwork-register-") as folder:
        root = Path(folder)
        language, track = course.config.languages[0], course.track(assignment)
        _stage(course, assignment, language, track, root / "source" / assignment)
        url = f"sqlite:///{course.gradebook}?timeout=60"
        _generate(root, assignment, database=url, course_id=course.config.id)
    from nbgrader.api import Gradebook

    with Gradebook(url, course.config.id) as gradebook:
        # nbgrader keeps times without a zone, in UTC.
        due = config.due.astimezone(UTC).replace(tzinfo=None) if config.due else None
        gradebook.update_or_create_assignment(assignment, duedate=due)


def _stage(course: Course, assignment: str, language: str, track: Track, folder: Path) -> None:
    """Write the translated source of one track of an assignment into `folder`."""
    source = course.source / assignment
    whole = course.whole(assignment)
    kept = _names(whole.of_track(track))
    left_out = _names(whole) - kept
    nb = without(load_source(course, assignment), left_out)
    translated = language != course.config.languages[0]
    catalogue = load_catalogue(course, language, assignment)
    if translated:
        nb = translate_notebook(nb, catalogue)
    nb.metadata.shardwork["language"] = language
    if track is not Track.FULL:
        nb.metadata.shardwork["track"] = track.value
    folder.mkdir(parents=True)
    _write_notebook(nb, folder / f"{assignment}.ipynb")
    for path in _released_files(source):
        name = path.relative_to(source)
        if name.parts[0] == PUBLIC_CHECKS and path.suffix == ".py" and path.stem in left_out:
            continue
        if path == course.source_notebook(assignment):
            continue
        if path.suffix == ".ipynb":
            raise CourseError(
                f"{path}: an assignment has one notebook, {assignment}.ipynb. Move the other one "
                "out of source/."
            )
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if name.parts[0] == PUBLIC_CHECKS and path.suffix == ".py":
            text = map_public_check(path, catalogue.gettext if translated else lambda msgid: msgid)
            target.write_text(text, encoding="utf-8")
        else:
            shutil.copyfile(path, target)


def _names(assignment: Assignment) -> set[str]:
    return {e.name for e in assignment.exercises} | {q.name for q in assignment.written}


def _write_notebook(nb: Notebook, path: Path) -> None:
    path.write_text(nbformat.writes(nb) + "\n", encoding="utf-8")


def _released_files(source: Path) -> list[Path]:
    files = [path for path in source.rglob("*") if path.is_file()]
    return sorted(path for path in files if not _is_ignored(path.relative_to(source)))


def _is_ignored(name: Path) -> bool:
    return any(fnmatch(part, pattern) for part in name.parts for pattern in IGNORED)


def _read_tree(folder: Path) -> dict[str, bytes]:
    """Read every file below `folder` that is released; an empty dict if there is no folder."""
    if not folder.is_dir():
        return {}
    return {
        PurePosixPath(path.relative_to(folder)).as_posix(): path.read_bytes()
        for path in _released_files(folder)
    }


def _generate(root: Path, assignment: str, *, database: str | None, course_id: str = "") -> None:
    """Run nbgrader's GenerateAssignment in the course folder `root`.

    `database` is the URL of the gradebook that the assignment is entered into, or None for none.
    """
    from nbgrader.converters import GenerateAssignment
    from nbgrader.coursedir import CourseDirectory
    from traitlets.config import Config

    config = Config()
    config.CourseDirectory.root = str(root)
    config.CourseDirectory.assignment_id = assignment
    config.CourseDirectory.course_id = course_id
    if database is None:
        config.SaveCells.enabled = False
        config.GenerateAssignment.no_database = True
    else:
        config.CourseDirectory.db_url = database
    converter = GenerateAssignment(coursedir=CourseDirectory(config=config), config=config)
    with _captured(converter.log) as said, _environment_on_path():
        try:
            converter.start()
        except Exception as error:
            reasons = [line for line in said.getvalue().splitlines() if line.strip()]
            reason = next((li for li in reversed(reasons) if _names_error(li)), str(error))
            if database is None:
                did = f"compile {assignment}"
                next_step = f"Correct source/{assignment}/{assignment}.ipynb and try again."
            else:
                did = f"enter {assignment} into the gradebook"
                next_step = (
                    "Put the cells back, or move gradebook.db away (grades are written again "
                    "from the records; manual grades in it are not)."
                )
            raise CourseError(
                f"nbgrader could not {did}: {reason.strip().rstrip('.')}. {next_step}"
            ) from error


def _names_error(line: str) -> bool:
    """Whether a line of nbgrader's log is the last of a traceback, which says what went wrong."""
    kind, separator, _ = line.partition(":")
    return bool(separator) and kind.split(".")[-1].isidentifier() and kind.endswith("Error")


@contextlib.contextmanager
def _captured(log: logging.Logger) -> Iterator[io.StringIO]:
    """Keep what nbgrader logs off the terminal; its errors become the text of ours."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    before, level, propagate = log.handlers[:], log.level, log.propagate
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.ERROR)
    try:
        yield said
    finally:
        log.handlers, log.propagate = before, propagate
        log.setLevel(level)


@contextlib.contextmanager
def _environment_on_path() -> Iterator[None]:
    """Put this interpreter's scripts on PATH: nbgrader 0.9.6 calls `alembic` once."""
    before = os.environ.get("PATH")
    scripts = str(Path(sys.executable).parent)
    os.environ["PATH"] = scripts if before is None else f"{scripts}{os.pathsep}{before}"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PATH"]
        else:
            os.environ["PATH"] = before
