"""Prove the graders: the mutation matrix.

For every exercise and every seed, the reference and each alternate earn all points, the starter
earns none, and each mutant loses points and is reported with exactly its own code.
"""

from __future__ import annotations

import enum
import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import nbformat

from shardwork.course import Assignment, Course, Exercise, Isolation
from shardwork.errors import CourseError
from shardwork.judge.job import Job, Judged, Problem, Variant
from shardwork.judging import JudgeProcesses, run_judge, setting_of
from shardwork.misconceptions import load_misconceptions
from shardwork.notebook import fill, load_source, reference, solution_cell, starter_source
from shardwork.points import score
from shardwork.record import Cause, CheckResult, Verdict

SCHEMA = "shardwork.verify/1"
MIN_MUTANTS = 3
MIN_CHECKS = 3
MAX_JUDGED = 200
"""Solutions, times seeds, that are judged in one sandbox."""

_FILES = "source"


class Kind(enum.Enum):
    """What a solution of the matrix is, and so what must come out."""

    REFERENCE = "reference"
    ALTERNATE = "alternate"
    STARTER = "starter"
    MUTANT = "mutant"


class Solution(msgspec.Struct, frozen=True):
    """One row of an exercise's matrix. `name` is unique in the exercise; a mutant's is its code."""

    kind: Kind
    name: str
    source: str


class Cell(msgspec.Struct, frozen=True):
    """What one seed gave: `wrong` says in a sentence how it differs from what must come out."""

    seed: int
    points: float
    codes: tuple[str, ...]
    wrong: str | None
    checks: tuple[CheckResult, ...]


class Row(msgspec.Struct, frozen=True):
    """One solution over all seeds. `problem` is an error of ours that kept it from being judged."""

    assignment: str
    exercise: str
    kind: Kind
    name: str
    max_points: float
    cells: tuple[Cell, ...]
    problem: str | None = None

    @property
    def clean(self) -> bool:
        return (
            self.problem is None and bool(self.cells) and all(c.wrong is None for c in self.cells)
        )


class Matrix(msgspec.Struct, frozen=True):
    """All rows, and what is missing before any is judged (too few mutants, no grader)."""

    rows: tuple[Row, ...]
    missing: tuple[str, ...] = ()
    schema: str = SCHEMA

    @property
    def clean(self) -> bool:
        return not self.missing and all(row.clean for row in self.rows)


def solutions_of(course: Course, assignment: str, exercise: str) -> list[Solution]:
    """List the solutions of an exercise: reference, alternates, starter, mutants.

    Raises CourseError for a file in the solutions folder whose name says neither.
    """
    source = load_source(course, assignment)
    found = [Solution(Kind.REFERENCE, "reference", reference(source, exercise))]
    mutants = []
    folder = course.graders / assignment / "solutions" / exercise
    for path in sorted(folder.glob("*.py")):
        kind, _, name = path.stem.partition("_")
        text = path.read_text(encoding="utf-8")
        if kind == "alternate" and name:
            found.append(Solution(Kind.ALTERNATE, path.stem, text))
        elif kind == "mutant" and name:
            mutants.append(Solution(Kind.MUTANT, name, text))
        else:
            raise CourseError(
                f"{path}: a solution is called alternate_<word>.py or mutant_<CODE>.py. Rename it."
            )
    starter = starter_source(solution_cell(source, exercise).source)
    return [*found, Solution(Kind.STARTER, "starter", starter), *mutants]


def missing_parts(course: Course, assignment: Assignment, exercise: str) -> list[str]:
    """Say what an exercise lacks before its graders can be proven at all."""
    solutions = solutions_of(course, assignment.name, exercise)
    mutants = {s.name for s in solutions if s.kind is Kind.MUTANT}
    known = set(load_misconceptions(course, assignment.name).get(exercise, {}))
    where = f"{assignment.name}/{exercise}"
    missing = []
    if not (course.graders / assignment.name / f"test_{exercise}.py").is_file():
        missing.append(f"{where}: there is no grader graders/{assignment.name}/test_{exercise}.py")
    if not any(s.kind is Kind.ALTERNATE for s in solutions):
        missing.append(f"{where}: there is no alternate")
    if len(mutants) < MIN_MUTANTS:
        missing.append(f"{where}: {len(mutants)} mutants; at least {MIN_MUTANTS} are needed")
    missing += [
        f"{where}: mutant {c} has no entry in misconceptions.toml" for c in sorted(mutants - known)
    ]
    missing += [f"{where}: misconception {c} has no mutant" for c in sorted(known - mutants)]
    return missing


def verify(
    course: Course,
    assignment: Assignment,
    exercises: Sequence[Exercise],
    seeds: Sequence[int],
    isolation: Isolation,
    *,
    jobs: int,
    only: Sequence[str] = (),
    done: Callable[[Row], None] = lambda row: None,
) -> Matrix:
    """Judge every solution of `exercises` for every seed.

    The solutions are dealt to `jobs` judges in hands; a judge keeps one sandbox for all of a hand,
    which is safe because they are the instructor's. `only` names solutions (all if empty). `done`
    hears each row when it is complete.
    """
    missing: list[str] = []
    rows: list[_Row] = []
    for exercise in exercises:
        missing += missing_parts(course, assignment, exercise.name)
        rows += [
            _Row(exercise, solution)
            for solution in solutions_of(course, assignment.name, exercise.name)
            if not only or solution.name in only
        ]
    folder = _files(course, assignment.name)
    files = {} if folder is None else {_FILES: folder}
    setting = setting_of(
        assignment,
        isolation,
        course.graders / assignment.name,
        files,
        load_misconceptions(course, assignment.name),
        seeds,
        [e.name for e in exercises],
    )
    proof = _Proof(course, assignment, tuple(seeds), "".join(files))

    def run(hand: Sequence[_Row]) -> list[Row]:
        return proof.judge(hand, processes, done)

    with JudgeProcesses(setting, jobs) as processes:
        pool = ThreadPoolExecutor(max_workers=jobs, thread_name_prefix="verify")
        try:
            found = [row for hand in pool.map(run, _hands(rows, jobs, len(seeds))) for row in hand]
        finally:
            processes.stop()  # before the wait, so that an interrupted one need not finish
            pool.shutdown(wait=True, cancel_futures=True)
    places = {(row.exercise.name, row.solution.name): place for place, row in enumerate(rows)}
    found.sort(key=lambda row: places[row.exercise, row.name])
    return Matrix(tuple(found), tuple(missing))


class _Row(msgspec.Struct, frozen=True):
    """A row that is to be filled."""

    exercise: Exercise
    solution: Solution


def _hands(rows: Sequence[_Row], jobs: int, seeds: int) -> list[Sequence[_Row]]:
    """Divide the rows among judges: each hand is as long as the others, and not too long.

    A new sandbox costs its start, and a JVM is slow until it is warm; one that is kept for long
    grows.
    """
    fair = -(-len(rows) // jobs)
    most = max(1, MAX_JUDGED // max(1, seeds))
    hands = jobs * -(-fair // most)
    ends = [len(rows) * n // hands for n in range(hands + 1)]
    return [rows[a:b] for a, b in itertools.pairwise(ends) if a < b]


class _Proof:
    """Judges hands of rows against the notebook in which every other answer is the reference."""

    def __init__(
        self, course: Course, assignment: Assignment, seeds: tuple[int, ...], files: str
    ) -> None:
        source = load_source(course, assignment.name)
        self._assignment = assignment.name
        self._seeds = seeds
        self._files = files
        self._references = {e.name: reference(source, e.name) for e in assignment.exercises}
        self._notebook = fill(source, self._references)

    def judge(
        self, hand: Sequence[_Row], processes: JudgeProcesses, done: Callable[[Row], None]
    ) -> list[Row]:
        """Judge the rows of one hand, in their order, in one sandbox as long as it lives."""
        names = {f"{r.exercise.name}/{r.solution.name}": r for r in hand}
        job = Job(
            notebook=nbformat.writes(self._notebook),
            files=self._files,
            variants=tuple(
                Variant(
                    name,
                    (row.exercise.name,),
                    self._references | {row.exercise.name: row.solution.source},
                    self._seeds,
                )
                for name, row in names.items()
            ),
        )
        cells: dict[str, list[Cell]] = defaultdict(list)

        def heard(event: Judged) -> None:
            row = names[event.variant]
            cells[event.variant].append(_cell(row.exercise, row.solution, event))
            if len(cells[event.variant]) == len(self._seeds):
                done(self._filled(row, cells[event.variant], None))

        end = run_judge(job, processes, heard)
        problem = end.text if isinstance(end, Problem) else None
        rows = []
        for name, row in names.items():
            whole = len(cells[name]) == len(self._seeds)
            rows.append(self._filled(row, cells[name], None if whole else problem))
            if not whole:
                done(rows[-1])
        return rows

    def _filled(self, row: _Row, cells: Sequence[Cell], problem: str | None) -> Row:
        return Row(
            self._assignment, row.exercise.name, row.solution.kind, row.solution.name,
            row.exercise.points, tuple(cells), problem,
        )  # fmt: skip


def _cell(exercise: Exercise, solution: Solution, event: Judged) -> Cell:
    result = score(exercise, "", event.checks)
    return Cell(
        event.seed, result.points, result.codes, _wrong(exercise, solution, event), event.checks
    )


def _wrong(exercise: Exercise, solution: Solution, event: Judged) -> str | None:
    """Say how one cell of the matrix differs from what must come out, or None."""
    result = score(exercise, "", event.checks)
    errors = [f"{c.name}: {c.detail.strip().splitlines()[-1]}" for c in event.checks
              if c.verdict is Verdict.ERROR and c.detail.strip()]  # fmt: skip
    if result.provisional:
        return "error: " + "; ".join(errors)
    failed = [c for c in event.checks if c.verdict is not Verdict.PASSED]
    if solution.kind in (Kind.REFERENCE, Kind.ALTERNATE):
        if failed or len(event.checks) < MIN_CHECKS:
            names = ", ".join(f"{c.name} ({c.code or c.message or c.detail})" for c in failed)
            return f"should have all points; failed: {names or 'too few checks'}"
    elif solution.kind is Kind.STARTER:
        if result.points or any(c.cause is not Cause.UNANSWERED for c in failed):
            return f"should have no points, unanswered; has {result.points:g}"
    elif result.codes != (solution.name,):
        return f"should be named {solution.name}; was named {', '.join(result.codes) or 'nothing'}"
    return None


def _files(course: Course, assignment: str) -> Path | None:
    folder: Path = course.source / assignment
    return folder if any(p.is_dir() for p in folder.iterdir()) else None
