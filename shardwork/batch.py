"""Grade a class: ingest every submission, judge what is new, write a record for each.

A record is keyed by the content of everything its verdicts depend on, so an unchanged submission is
never judged twice, a change in one exercise's grader re-judges that exercise only, and an
interrupted batch goes on where it stopped. One submission never disturbs another.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec
import nbformat
import psutil

from shardwork import leftovers
from shardwork.course import Assignment, Course, Isolation
from shardwork.errors import CourseError, NothingMatched, ShardworkError
from shardwork.ingest import Ingested, code_digest, ingest, students_of
from shardwork.judge.job import Finished, Job, Judged, Problem, Variant
from shardwork.judging import JudgeProcesses, Judges, setting_of
from shardwork.keys import digest, environment_digest, files_digest, grader_digest, versions
from shardwork.misconceptions import load_misconceptions
from shardwork.phases import Phases
from shardwork.plaintext import plain_line
from shardwork.points import score
from shardwork.record import CellOutcome, CheckResult, ExerciseResult, Record, Timing, Verdict
from shardwork.recordfile import check_student, read_record, record_path, write_record
from shardwork.wholefile import sweep

T = TypeVar("T")

PREPARED_BYTES = 512 << 20
"""More than a sandbox takes that waits with a Spark session: with one, a batch of
chapter 2 peaked at 1.62 GB, where it had been 1.38 GB."""


class Graded(msgspec.Struct, frozen=True):
    """One submission after a batch: its record, and whether anything had to be judged for it.

    `record` is None if it could not be written; `problem` says why. `notebook` is the file in which
    the notebook that was judged is kept, if the batch keeps any.
    """

    student: str
    record: Record | None
    judged: bool
    notebook: Path | None = None
    problem: str = ""


class Settings(msgspec.Struct, frozen=True):
    """How a batch is run. `seed` None means the assignment's own.

    With `scheduler`, the address of one of Dask's, submissions are judged by its workers, as many
    at once as these have threads; `jobs` has no effect then.
    """

    isolation: Isolation
    jobs: int
    seed: int | None = None
    force: bool = False
    scheduler: str = ""


def default_jobs(assignment: Assignment) -> int:
    """Return how many submissions fit at once: within the cores, and the memory that is free.

    More would not be faster, and an overloaded machine makes wrong grades.
    """
    cores = len(os.sched_getaffinity(0))
    fits = _memory_to_use() // (assignment.limits.memory_mb << 20)
    return max(1, min(cores, fits))


def _memory_to_use() -> int:
    """Return the bytes of free memory that a batch may count on."""
    return int(psutil.virtual_memory().available * 0.8)


def ahead(assignment: Assignment, jobs: int) -> int:
    """Return how many sandboxes are prepared while `jobs` submissions are judged.

    Their Spark session starts meanwhile, but nothing of a submission runs in them. None where only
    one is judged at a time, or where memory is short.
    """
    wanted = (jobs + 1) // 2 if jobs > 1 else 0
    spare = _memory_to_use() - jobs * (assignment.limits.memory_mb << 20)
    return max(0, min(wanted, spare // PREPARED_BYTES))


def grade(
    course: Course,
    assignment: Assignment,
    settings: Settings,
    *,
    students: Sequence[str] = (),
    keep: Path | None = None,
    done: Callable[[Graded], None] = lambda graded: None,
    phases: Phases | None = None,
) -> list[Graded]:
    """Grade the class (or only `students`), `settings.jobs` submissions at a time.

    `done` hears each submission when its record is written; it is called in this thread. `phases`
    is told the time of `ingest`, `start`, `judging` and `records`. Notebooks that are judged are
    written to the folder `keep`: in memory there are never more than are judged at once. Raises
    before anything runs: MachineError (something has to be judged, and there is no such isolation,
    or no Java), CourseError (the course is not fit to grade with), NothingMatched. Interrupted, it
    ends every sandbox and keeps every record.
    """
    leftovers.sweep()
    for folder in (course.records, course.report, *course.feedback.glob("*")):
        sweep(folder / assignment.name)
    phases = phases or Phases()
    batch = _Batch(course, assignment, settings, phases, keep)
    results: list[Graded] = []

    def heard(graded: Graded) -> None:
        results.append(graded)
        done(graded)

    waiting: list[_Due] = []
    with phases("ingest"):
        for name in _chosen(course, assignment, students):
            planned = batch.plan(name)
            if isinstance(planned, Graded):
                heard(planned)
            else:
                waiting.append(_Due(name, planned.expected_s))
    if waiting:
        with contextlib.ExitStack() as stack:
            with phases("start"):
                judges, slots = batch.judges(stack)
            stack.enter_context(phases("judging"))
            pool = ThreadPoolExecutor(max_workers=slots, thread_name_prefix="grade")
            try:
                running = [pool.submit(batch.judge, due, judges) for due in longest_first(waiting)]
                for future in as_completed(running):
                    heard(future.result())
            finally:
                judges.stop()  # before the wait, so that nothing is waited for
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
    return list(dict.fromkeys(students)) or known


class _Plan(msgspec.Struct, frozen=True):
    """A submission for which something has to be judged: the exercises `due`.

    `known` holds the results that are still valid, `before` the record they come from.
    """

    taken: Ingested
    before: Record | None
    known: dict[str, ExerciseResult]
    due: list[str]

    @property
    def expected_s(self) -> float | None:
        """How long it took before, if it was judged before."""
        return None if self.before is None else self.before.timing.total_s


class _Due(msgspec.Struct, frozen=True):
    """A submission that waits to be judged: nothing of it is in memory."""

    student: str
    expected_s: float | None


def longest_first(waiting: Sequence[_Due]) -> list[_Due]:
    """Order what is to be judged so that no long submission is left for the end.

    What was judged before takes as long as it took then; what is new, as long as their mean.
    """
    before = [due.expected_s for due in waiting if due.expected_s is not None]
    mean_s = sum(before) / len(before) if before else 0.0

    def expected_s(due: _Due) -> float:
        return mean_s if due.expected_s is None else due.expected_s

    return sorted(waiting, key=expected_s, reverse=True)


class _Batch:
    """What all submissions of one batch share: prepared once, read by every thread."""

    def __init__(
        self,
        course: Course,
        assignment: Assignment,
        settings: Settings,
        phases: Phases,
        keep: Path | None,
    ) -> None:
        self._phases = phases
        self._folder = keep
        self._course = course
        self._assignment = assignment
        self._settings = settings
        self._seed = assignment.seed if settings.seed is None else settings.seed
        self._misconceptions = load_misconceptions(course, assignment.name)
        self._grader_digests = {
            e.name: grader_digest(course, assignment.name, e.name, self._misconceptions)
            for e in assignment.exercises
        }
        self._environment = environment_digest(assignment, settings.isolation, self._seed)
        self._files = {
            language: folder
            for language in course.config.languages
            if (folder := _provided_files(course, assignment.name, language)) is not None
        }
        self._files_digests = {
            language: files_digest(self._files.get(language))
            for language in course.config.languages
        }
        _check_weights(course, assignment)

    def judges(self, stack: contextlib.ExitStack) -> tuple[Judges, int]:
        """Start the judges, here or on other machines; return them and how many to have begun.

        Those that are not at work yet are prepared or on their way.

        Raises MachineError if nothing can be judged there.
        """
        level, graders = self._settings.isolation, self._course.graders / self._assignment.name
        if not self._settings.scheduler:
            setting = setting_of(
                self._assignment, level, graders, self._files, self._misconceptions, [self._seed]
            )
            jobs = self._settings.jobs
            processes = JudgeProcesses(setting, jobs)
            return stack.enter_context(processes), jobs + ahead(self._assignment, jobs)
        from shardwork.remote import RemoteJudges, bundle

        sent = bundle(
            self._assignment, level, self._misconceptions, graders, self._files, [self._seed]
        )
        remote = stack.enter_context(RemoteJudges(self._settings.scheduler, sent))
        # Twice as many as work at once: what comes next waits at a worker already.
        return remote, 2 * remote.slots

    def plan(self, student: str) -> Graded | _Plan:
        """Take a submission in and say what is due; if nothing is, bring its record up to date.

        Never raises for what a submission is.
        """
        return self._set_aside(student, lambda: self._plan(check_student(student)))

    def judge(self, due: _Due, judges: Judges) -> Graded:
        """Judge what is due and write the record. Never raises for what a submission is."""

        def judged() -> Graded:
            plan = self._plan(due.student)  # anew: it may have been handed in again meanwhile
            if isinstance(plan, Graded):
                return plan
            notebook = nbformat.writes(plan.taken.notebook)
            record = self._judge(plan, notebook, judges)
            return self._keep(plan.before, record, judged=True, notebook=notebook)

        return self._set_aside(due.student, judged)

    def _set_aside(self, student: str, work: Callable[[], T]) -> T | Graded:
        """Do the work for one submission; whatever goes wrong with it stays with it."""
        try:
            return work()
        except CourseError:
            raise
        except InterruptedError:
            problem = "interrupted before it was judged"
        except ShardworkError as error:
            problem = str(error)
        except Exception as error:  # ours: this submission is set aside, the batch goes on
            problem = f"{self._assignment.name}/{student}: {type(error).__name__}: {error}"
        return Graded(plain_line(student, 80), None, False, problem=problem)

    def _plan(self, student: str) -> Graded | _Plan:
        taken = ingest(self._course, self._assignment, student)
        before = self._record_before(student)
        if taken.notebook is None:
            return self._keep(before, self._refused(taken), judged=False)
        known = {} if before is None or self._settings.force else self._still_valid(before, taken)
        due = [e.name for e in self._assignment.exercises if e.name not in known]
        if before is None or due:
            return _Plan(taken, before, known, due)
        record = self._assemble(taken, known, {}, before.cells, before.timing, "")
        record = msgspec.structs.replace(record, protections=before.protections)
        return self._keep(before, record, judged=False)

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
        return digest(
            {
                "code": code_digest(taken.notebook),
                "grader": self._grader_digests[exercise],
                "environment": self._environment,
                "files": self._files_digests[taken.language],
            }
        )

    def _judge(self, plan: _Plan, notebook: str, judges: Judges) -> Record:
        taken, due = plan.taken, plan.due
        began = time.monotonic()
        checks: dict[str, tuple[CheckResult, ...]] = {
            name: (_undecided(name),) for name in due if name in taken.undecided
        }
        left = tuple(name for name in due if name not in checks)
        job = Job(
            notebook=notebook,
            files=taken.language if taken.language in self._files else "",
            variants=(Variant("submission", left, {}, (self._seed,)),),
        )

        def heard(event: Judged) -> None:
            checks[event.exercise] = event.checks

        end, protections = judges.judge(job, heard)
        cells: tuple[CellOutcome, ...] = ()
        timing, problem = Timing(), ""
        if isinstance(end, Finished):
            cells = end.cells
            spent = (end.sandbox_s, end.notebook_s, end.judge_s)
            timing = Timing(*(round(seconds, 2) for seconds in (*spent, sum(spent))))
        elif isinstance(end, Problem):
            problem = end.text
            timing = Timing(total_s=round(time.monotonic() - began, 2))
        for name in due:
            if name not in checks:
                checks[name] = (_not_judged(problem or "the judge said nothing of it"),)
        record = self._assemble(taken, plan.known, checks, cells, timing, problem)
        return msgspec.structs.replace(record, protections=protections)

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
        return msgspec.structs.replace(
            self._refused(taken),
            status="incomplete" if problem else "graded",
            points=round(sum(e.points for e in exercises), 2),
            reason=problem,
            exercises=exercises,
            written=taken.written,
            notices=taken.notices,
            cells=cells,
            timing=timing,
        )

    def _refused(self, taken: Ingested) -> Record:
        """Make the record of a submission with nothing to judge."""
        return Record(
            assignment=self._assignment.name,
            student=taken.student,
            status="refused",
            points=0.0,
            max_points=self._assignment.max_points,
            submission_digest=taken.digest,
            graded_at=datetime.now(UTC).isoformat(timespec="seconds"),
            language=taken.language,
            isolation=self._settings.isolation.value,
            seed=self._seed,
            reason=taken.reason,
            sentence=taken.sentence,
            values={**taken.values},
            versions=versions(),
        )

    def _keep(
        self, before: Record | None, record: Record, *, judged: bool, notebook: str = ""
    ) -> Graded:
        """Write the record unless it says what the one before says, and keep the notebook."""
        if before is not None and not judged:
            undated = msgspec.structs.replace(record, graded_at=before.graded_at)
            if undated == before:
                return Graded(record.student, before, judged)
        with self._phases("records"):
            write_record(self._course, record)
        kept = None
        if notebook and self._folder is not None:
            kept = self._folder / record.student
            kept.write_text(notebook, encoding="utf-8", errors="replace")
        return Graded(record.student, record, judged, kept)


def _undecided(exercise: str) -> CheckResult:
    return CheckResult(
        "ingest",
        "The submission holds one answer to this exercise.",
        Verdict.ERROR,
        message="Your notebook holds several different answers to this exercise. A teaching "
        "assistant decides which one counts; you need not do anything.",
        detail=f"several different cells `{exercise}`; decide which one counts, then grade again",
    )


def _not_judged(why: str) -> CheckResult:
    return CheckResult("judge", "This exercise could be judged.", Verdict.ERROR, detail=why)


def _provided_files(course: Course, assignment: str, language: str) -> Path | None:
    """Return the released folder, whose public checks and data go into the sandbox."""
    for code in (language, *course.config.languages):
        folder = course.release / code / assignment
        if folder.is_dir():
            return folder
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
