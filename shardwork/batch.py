"""Grade a class: ingest every submission, judge what is new, write a record for each.

A record is keyed by the content of everything its verdicts depend on, so an unchanged submission is
never judged twice, a change in one exercise's grader re-judges that exercise only, and an
interrupted batch goes on where it stopped. One submission never disturbs another.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import nbformat
import psutil
from nbformat import NotebookNode

from shardwork import __version__
from shardwork.course import Assignment, Course, Isolation
from shardwork.errors import CourseError, MachineError, NothingMatched, ShardworkError
from shardwork.ingest import Ingested, code_digest, ingest, students_of
from shardwork.judge.job import Finished, Job, Judged, Problem, Variant
from shardwork.judging import GRACE_S, JudgeProcesses, run_judge
from shardwork.misconceptions import Misconceptions, load_misconceptions
from shardwork.points import score
from shardwork.record import CellOutcome, CheckResult, ExerciseResult, Record, Timing, Verdict
from shardwork.recordfile import read_record, record_path, write_record
from shardwork.sandbox.isolation import require

# What a verdict depends on beside the grader and the submission: the engine's modules on the path
# from the rebuilt notebook to a verdict, and the libraries that student code meets.
_ENGINE = ("wire", "sandbox", "probes", "judge", "lab", "grading.py", "ingest.py", "java.py",
           "plaintext.py", "judging.py")  # fmt: skip
_LIBRARIES = ("pyspark", "dask", "distributed", "torch", "numpy", "pandas", "pyarrow", "otter-grader",
              "nbclient", "ipykernel", "pytest", "msgspec")  # fmt: skip


class Graded(msgspec.Struct, frozen=True):
    """One submission after a batch: its record, and whether anything had to be judged for it.

    `record` is None if it could not be written; `problem` says why.
    """

    student: str
    record: Record | None
    judged: bool
    notebook: NotebookNode | None = None
    problem: str = ""


class Settings(msgspec.Struct, frozen=True):
    """How a batch is run. `seed` None means the assignment's own."""

    isolation: Isolation
    jobs: int
    seed: int | None = None
    force: bool = False


def default_jobs(assignment: Assignment) -> int:
    """Return how many submissions fit at once: no more than cores, and their memory in what is free.

    More would not be faster, and an overloaded machine makes wrong grades.
    """
    cores = len(os.sched_getaffinity(0))
    fits = int(psutil.virtual_memory().available * 0.8) // (assignment.limits.memory_mb << 20)
    return max(1, min(cores, fits))


def grade(
    course: Course,
    assignment: Assignment,
    settings: Settings,
    *,
    students: Sequence[str] = (),
    done: Callable[[Graded], None] = lambda graded: None,
) -> list[Graded]:
    """Grade the class (or only `students`), `settings.jobs` submissions at a time.

    `done` hears each submission when its record is written; it is called in this thread. Raises
    before anything runs: MachineError (no such isolation, no Java), CourseError (the course is not
    fit to grade with), NothingMatched. Interrupted, it ends every sandbox and keeps every record.
    """
    batch = _Batch(course, assignment, settings)
    names = _chosen(course, assignment, students)
    results: list[Graded] = []
    processes = JudgeProcesses()
    pool = ThreadPoolExecutor(max_workers=settings.jobs, thread_name_prefix="grade")
    try:
        waiting = [pool.submit(batch.grade_one, name, processes) for name in names]
        for future in as_completed(waiting):
            graded = future.result()
            results.append(graded)
            done(graded)
    finally:
        processes.stop()
        pool.shutdown(wait=True, cancel_futures=True)
    return sorted(results, key=lambda graded: graded.student)


def grade_one(course: Course, assignment: str, student: str) -> Record:
    """Grade one submission with the course's own settings and return its record.

    For callers that are not a batch (nbgrader's autograde button). Raises ShardworkError if there
    is no record afterwards.
    """
    found = course.assignment(assignment)
    settings = Settings(course.config.isolation, jobs=1)
    (graded,) = grade(course, found, settings, students=[student])
    if graded.record is None:
        raise ShardworkError(graded.problem)
    return graded.record


def _chosen(course: Course, assignment: Assignment, students: Sequence[str]) -> list[str]:
    known = students_of(course, assignment)
    missing = [name for name in students if name not in known]
    if missing or not known:
        what = f"by {', '.join(missing)} " if missing else ""
        raise NothingMatched(
            f"Nothing was handed in {what}for {assignment.name}. A notebook belongs at "
            f"{course.submitted}/<student>/{assignment.name}/{assignment.name}.ipynb."
        )
    return list(students) or known


class _Batch:
    """What all submissions of one batch share: prepared once, read by every thread."""

    def __init__(self, course: Course, assignment: Assignment, settings: Settings) -> None:
        require(settings.isolation)
        if assignment.cluster.spark_master is not None:
            from shardwork.java import find_java

            find_java()
        self._course = course
        self._assignment = assignment
        self._settings = settings
        self._seed = assignment.seed if settings.seed is None else settings.seed
        self._misconceptions = load_misconceptions(course, assignment.name)
        self._grader_digests = {
            e.name: grader_digest(course, assignment.name, e.name, self._misconceptions)
            for e in assignment.exercises
        }
        self._environment = _digest(
            {
                "engine": engine_digest(),
                "libraries": versions(),
                "isolation": settings.isolation.value,
                "seed": self._seed,
                "limits": msgspec.to_builtins(assignment.limits),
                "cluster": msgspec.to_builtins(assignment.cluster),
            }
        )
        _check_weights(course, assignment)

    def grade_one(self, student: str, processes: JudgeProcesses) -> Graded:
        """Bring one submission's record up to date. Never raises for what a submission is."""
        try:
            taken = ingest(self._course, self._assignment, student)
            before = self._record_before(student)
            if taken.notebook is None:
                return self._keep(before, self._refused(taken), judged=False, notebook=None)
            known = (
                {} if before is None or self._settings.force else self._still_valid(before, taken)
            )
            due = [e.name for e in self._assignment.exercises if e.name not in known]
            if not due:
                assert before is not None
                record = self._assemble(taken, known, {}, before.cells, before.timing, "")
                return self._keep(before, record, judged=False, notebook=taken.notebook)
            record = self._judge(taken, known, due, processes)
            return self._keep(before, record, judged=True, notebook=taken.notebook)
        except InterruptedError:
            return Graded(student, None, False, problem="interrupted before it was judged")
        except MachineError as error:
            return Graded(student, None, False, problem=str(error))
        except CourseError:
            raise
        except Exception as error:  # ours: this submission is set aside, the batch goes on
            return Graded(
                student, None, False,
                problem=f"{self._assignment.name}/{student}: {type(error).__name__}: {error}",
            )  # fmt: skip

    def _record_before(self, student: str) -> Record | None:
        path = record_path(self._course, self._assignment.name, student)
        try:
            return read_record(path)
        except FileNotFoundError:
            return None
        except ShardworkError:  # broken, or of another version: judged anew, then replaced
            return None

    def _still_valid(self, before: Record, taken: Ingested) -> dict[str, ExerciseResult]:
        return {
            result.name: result
            for result in before.exercises
            if not result.provisional
            and result.name in self._grader_digests
            and result.key == self._key(taken, result.name)
        }

    def _key(self, taken: Ingested, exercise: str) -> str:
        assert taken.notebook is not None
        return _digest(
            {
                "code": code_digest(taken.notebook),
                "grader": self._grader_digests[exercise],
                "environment": self._environment,
            }
        )

    def _judge(
        self,
        taken: Ingested,
        known: dict[str, ExerciseResult],
        due: list[str],
        processes: JudgeProcesses,
    ) -> Record:
        began = time.monotonic()
        checks: dict[str, tuple[CheckResult, ...]] = {
            name: (_undecided(name),) for name in due if name in taken.undecided
        }
        job = Job(
            assignment=self._assignment,
            isolation=self._settings.isolation,
            notebook=nbformat.writes(taken.notebook),
            files=_provided_files(self._course, self._assignment.name, taken.language),
            graders=str(self._course.graders / self._assignment.name),
            codes={name: tuple(codes) for name, codes in self._misconceptions.items()},
            exercises=tuple(name for name in due if name not in checks),
            variants=(Variant("submission", {}, (self._seed,)),),
        )

        def heard(event: Judged) -> None:
            checks[event.exercise] = event.checks

        limit = self._assignment.limits.total_s + GRACE_S
        end = run_judge(job, processes, limit, heard)
        cells: tuple[CellOutcome, ...] = ()
        timing, problem = Timing(), ""
        total = time.monotonic() - began
        if isinstance(end, Finished):
            cells = end.cells
            timing = Timing(round(end.notebook_s, 2), round(end.judge_s, 2), round(total, 2))
        elif isinstance(end, Problem):
            problem = end.text
            timing = Timing(total_s=round(total, 2))
        for name in due:
            if name not in checks:
                checks[name] = (_not_judged(problem or "the judge said nothing of it"),)
        return self._assemble(taken, known, checks, cells, timing, problem)

    def _assemble(
        self,
        taken: Ingested,
        known: dict[str, ExerciseResult],
        checks: dict[str, tuple[CheckResult, ...]],
        cells: tuple[CellOutcome, ...],
        timing: Timing,
        problem: str,
    ) -> Record:
        """Make the record. Points are added up anew, so changed points need no judging."""
        exercises = tuple(
            score(
                exercise,
                self._key(taken, exercise.name),
                checks.get(exercise.name) or known[exercise.name].checks,
            )
            for exercise in self._assignment.exercises
        )
        return Record(
            assignment=self._assignment.name,
            student=taken.student,
            status="incomplete" if problem else "graded",
            points=round(sum(e.points for e in exercises), 2),
            max_points=self._assignment.max_points,
            submission_digest=taken.digest,
            graded_at=_now(),
            language=taken.language,
            isolation=self._settings.isolation.value,
            seed=self._seed,
            reason=problem,
            exercises=exercises,
            notices=taken.notices,
            cells=cells,
            versions=versions(),
            timing=timing,
        )

    def _refused(self, taken: Ingested) -> Record:
        return Record(
            assignment=self._assignment.name,
            student=taken.student,
            status="refused",
            points=0.0,
            max_points=self._assignment.max_points,
            submission_digest=taken.digest,
            graded_at=_now(),
            language=taken.language,
            isolation=self._settings.isolation.value,
            seed=self._seed,
            reason=taken.reason,
            versions=versions(),
        )

    def _keep(
        self, before: Record | None, record: Record, *, judged: bool, notebook: NotebookNode | None
    ) -> Graded:
        """Write the record unless it says what the one before says."""
        if before is not None and not judged:
            undated = msgspec.structs.replace(record, graded_at=before.graded_at)
            if undated == before:
                return Graded(record.student, before, judged, notebook)
        write_record(self._course, record)
        return Graded(record.student, record, judged, notebook)


def _undecided(exercise: str) -> CheckResult:
    return CheckResult(
        "ingest", "The submission holds one answer to this exercise.", Verdict.ERROR,
        detail=f"several different cells `{exercise}`; decide which one counts, then grade again",
    )  # fmt: skip


def _not_judged(why: str) -> CheckResult:
    return CheckResult("judge", "This exercise could be judged.", Verdict.ERROR, detail=why)


def _provided_files(course: Course, assignment: str, language: str) -> str | None:
    """Return the released folder, whose public checks and data go into the sandbox."""
    for code in (language, *course.config.languages):
        folder = course.release / code / assignment
        if folder.is_dir():
            return str(folder)
    return None


def _check_weights(course: Course, assignment: Assignment) -> None:
    """Raise CourseError for a weight of a check that the grader does not have."""
    import ast

    for exercise in assignment.exercises:
        path = course.graders / assignment.name / f"test_{exercise.name}.py"
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (OSError, SyntaxError, ValueError):
            continue  # the judge says so, for this exercise only
        checks = {
            node.name for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        }  # fmt: skip
        unknown = sorted(set(exercise.weights) - checks)
        if unknown:
            raise CourseError(
                f"course_config.py weighs {unknown[0]!r} in {assignment.name}/{exercise.name}, but "
                f"{path.name} has no such check; it has: {', '.join(sorted(checks))}."
            )


def grader_digest(
    course: Course, assignment: str, exercise: str, misconceptions: Misconceptions
) -> str:
    """Return the SHA-256 of what judges an exercise.

    That is its grader, the modules beside it that it may import, and the codes it may name.
    """
    folder = course.graders / assignment
    paths = [folder / f"test_{exercise}.py"]
    paths += sorted(p for p in folder.glob("*.py") if not p.name.startswith("test_"))
    content = {path.name: path.read_text(encoding="utf-8") for path in paths if path.is_file()}
    return _digest({"files": content, "codes": sorted(misconceptions.get(exercise, {}))})


@functools.cache
def engine_digest() -> str:
    """Return the SHA-256 of the engine's modules that a verdict depends on."""
    package = Path(__file__).parent
    paths = [p for part in _ENGINE for p in ([package / part] if part.endswith(".py")
             else sorted((package / part).rglob("*.py")))]  # fmt: skip
    return _digest({str(p.relative_to(package)): p.read_text(encoding="utf-8") for p in paths})


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions that a record names: the engine's, Python's and the libraries'."""
    found = {
        "shardwork": __version__,
        "engine": engine_digest()[:16],
        "python": platform.python_version(),
    }
    return found | {name: importlib.metadata.version(name) for name in _LIBRARIES}


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
