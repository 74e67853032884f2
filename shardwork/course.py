"""The course as data: what `course_config.py` says, validated.

`course_config.py` binds one name, `course`, to a plain dictionary. Nothing here opens a notebook
or a grader; the modules further down the path do, and hold them against this.
"""

from __future__ import annotations

import enum
import functools
import runpy
import traceback
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from shardwork.errors import CourseError, NothingMatched

Identifier = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
Definition = Annotated[str, Meta(pattern=r"^[a-zA-Z][a-zA-Z0-9_]*$", max_length=64)]
"""The name of a function or a class."""
Positive = Annotated[float, Meta(gt=0, le=10_000)]
SparkMaster = Annotated[str, Meta(pattern=r"^(local\[\d+\]|local-cluster\[\d+,\d+,\d+\])$")]
Language = Annotated[str, Meta(pattern=r"^[a-z]{2}$")]


class Isolation(enum.Enum):
    """How far a submission's code is kept from the machine; stronger levels have a larger rank."""

    NONE = "none"
    DOCKER = "docker"
    BUBBLEWRAP = "bubblewrap"

    @property
    def rank(self) -> int:
        return list(Isolation).index(self)


class Track(enum.Enum):
    """Which of the two released courses an exercise belongs to; `core` is part of `full`."""

    CORE = "core"
    FULL = "full"


class Exercise(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One graded item: the function (or class) `name` that a student writes."""

    name: Definition
    points: Positive
    minutes: Annotated[int, Meta(ge=1, le=600)]
    track: Track = Track.FULL
    weights: dict[str, Positive] = {}
    """Weight of a check, by the name of its test function; a check that is not named weighs 1."""


class Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One written question: its answer is prose, and a person gives the points."""

    name: Identifier
    points: Positive
    minutes: Annotated[int, Meta(ge=1, le=600)]
    track: Track = Track.FULL


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one submission may use.

    `cell_s` and `call_s` are wall seconds that stretch, up to four times, while the sandbox gets
    less than half a core. `total_s` is wall seconds for the cells of the notebook, `exercise_s` for
    all checks of one exercise, and with them for running cells again that were lost.
    """

    cell_s: Positive = 90.0
    call_s: Positive = 40.0
    total_s: Positive = 900.0
    exercise_s: Positive = 300.0
    memory_mb: Annotated[int, Meta(ge=256, le=1_000_000)] = 4096
    scratch_mb: Annotated[int, Meta(ge=16, le=100_000)] = 1024


class Cluster(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The local cluster that `shardwork.lab` gives to a notebook of this assignment."""

    spark_master: SparkMaster | None = None
    """None: no exercise of the assignment uses Spark, and no Java is needed."""
    dask_workers: Annotated[int, Meta(ge=1, le=64)] = 2


class Assignment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A chapter: one folder in `source/` and one of the same name in `graders/`."""

    name: Identifier
    title: str
    exercises: Annotated[tuple[Exercise, ...], Meta(min_length=1)]
    written: tuple[Written, ...] = ()
    due: datetime | None = None
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0
    """Root of the random inputs of every check; the same for the whole class, and recorded."""
    limits: Limits = Limits()
    cluster: Cluster = Cluster()

    def exercise(self, name: str) -> Exercise:
        """Return the exercise `name`; KeyError if this assignment has none."""
        for exercise in self.exercises:
            if exercise.name == name:
                return exercise
        raise KeyError(name)

    def of_track(self, track: Track) -> Assignment:
        """Return the assignment with what a release of `track` holds: `full` is everything."""
        if track is Track.FULL:
            return self
        return msgspec.structs.replace(
            self,
            exercises=tuple(e for e in self.exercises if e.track is track),
            written=tuple(q for q in self.written if q.track is track),
        )

    @property
    def minutes(self) -> int:
        """What a good student needs for all of it."""
        return sum(e.minutes for e in self.exercises) + sum(q.minutes for q in self.written)

    @property
    def max_points(self) -> float:
        """What the exercises are worth: what is judged. Written questions are not counted."""
        return sum(exercise.points for exercise in self.exercises)


class CourseConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The dictionary that `course_config.py` binds to `course`."""

    id: Identifier
    title: str
    assignments: Annotated[tuple[Assignment, ...], Meta(min_length=1)]
    languages: Annotated[tuple[Language, ...], Meta(min_length=1)] = ("en",)
    """The first is the language that the source notebooks are written in."""
    isolation: Isolation = Isolation.BUBBLEWRAP
    track: Track = Track.FULL
    """What `shardwork release` gives out unless it is told otherwise."""


class _ReleasedMarks(msgspec.Struct):
    track: Track = Track.FULL


class _ReleasedMetadata(msgspec.Struct):
    shardwork: _ReleasedMarks = msgspec.field(default_factory=_ReleasedMarks)


class _Released(msgspec.Struct):
    """What of a released notebook says which track it is."""

    metadata: _ReleasedMetadata


class Course:
    """A course folder: its configuration and where its parts lie.

    Paths are absolute. The working folders (`submitted` and those after it) may not exist yet.
    """

    def __init__(self, root: Path, config: CourseConfig) -> None:
        self.root = root
        self.config = config
        self.source = root / "source"
        self.graders = root / "graders"
        self.locale = root / "locale"
        self.release = root / "release"
        self.submitted = root / "submitted"
        self.autograded = root / "autograded"
        self.records = root / "records"
        self.feedback = root / "feedback"
        self.report = root / "report"
        self.gradebook = root / "gradebook.db"

    def assignment(self, name: str) -> Assignment:
        """Return the assignment `name` as it is released: with what is in its track.

        NothingMatched names the assignments there are.
        """
        return self.whole(name).of_track(self.track(name))

    def track(self, name: str) -> Track:
        """Return the track in which the assignment is released, so is handed in and graded.

        As long as there is no release, it is the one in `course_config.py`.
        """
        path = self.release / self.config.languages[0] / name / f"{name}.ipynb"
        try:
            status = path.stat()
            return _released_track(path, status.st_mtime_ns, status.st_size)
        except (OSError, msgspec.DecodeError):  # whoever needs the release says so
            return self.config.track

    def whole(self, name: str) -> Assignment:
        """Return the assignment `name` with everything that is written for it."""
        for assignment in self.config.assignments:
            if assignment.name == name:
                return assignment
        known = ", ".join(a.name for a in self.config.assignments)
        raise NothingMatched(
            f"{self.root}/course_config.py has no assignment {name!r}; it has: {known}."
        )

    def source_notebook(self, assignment: str) -> Path:
        return self.source / assignment / f"{assignment}.ipynb"


@functools.lru_cache(maxsize=64)
def _released_track(path: Path, _mtime_ns: int, _size: int) -> Track:
    return msgspec.json.decode(path.read_bytes(), type=_Released).metadata.shardwork.track


def load_course(root: Path | None = None) -> Course:
    """Read and validate `course_config.py` in `root` (default: here, or the nearest folder above).

    Raises CourseError with the path of the offending value (`at $.assignments[0].due`).
    """
    root = find_course(Path.cwd()) if root is None else root.resolve()
    path = root / "course_config.py"
    if not path.is_file():
        raise CourseError(f"{root} is no course folder: it has no course_config.py.")
    try:
        namespace = runpy.run_path(str(path))
    except (Exception, SystemExit) as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        line = getattr(error, "lineno", None) or where.lineno
        raise CourseError(
            f"{path}, line {line}: {type(error).__name__}: {error}. Correct the file and try again."
        ) from error
    if "course" not in namespace:
        raise CourseError(f"{path} binds no name `course`; see docs/author.md for an example.")
    try:
        config = msgspec.convert(namespace["course"], CourseConfig)
    except msgspec.ValidationError as error:
        raise CourseError(
            f"{path}: {error}. See docs/author.md for what may stand there."
        ) from error
    _reject_duplicates(path, config)
    return Course(root, config)


def find_course(start: Path) -> Path:
    """Return the nearest folder at or above `start` that has a `course_config.py`."""
    for folder in (start, *start.parents):
        if (folder / "course_config.py").is_file():
            return folder
    raise CourseError(
        f"No course_config.py in {start} or above it. Change into a course folder, or name one "
        "with --course."
    )


def _reject_duplicates(path: Path, config: CourseConfig) -> None:
    seen: dict[str, str] = {}
    for i, assignment in enumerate(config.assignments):
        at = f"$.assignments[{i}].name"
        if assignment.name in seen:
            raise CourseError(
                f"{path}: assignment {assignment.name!r} stands twice - at "
                f"`{seen[assignment.name]}` and at `{at}`."
            )
        seen[assignment.name] = at
        _reject_duplicate_names(path, f"$.assignments[{i}]", assignment)


def _reject_duplicate_names(path: Path, at: str, assignment: Assignment) -> None:
    """Refuse two exercises or questions of one name: it is the id of a cell, and so is `test_`."""
    taken: set[str] = set()
    for j, exercise in enumerate(assignment.exercises):
        if exercise.name in taken:
            raise CourseError(
                f"{path}: exercise {exercise.name!r} stands twice - at `{at}.exercises[{j}].name`."
            )
        taken.add(exercise.name)
    taken |= {f"test_{name}" for name in taken} | {"setup"}
    for j, question in enumerate(assignment.written):
        if question.name in taken:
            raise CourseError(
                f"{path}: the name {question.name!r} at `{at}.written[{j}].name` is taken already. "
                "Give the written question another one."
            )
        taken.add(question.name)
