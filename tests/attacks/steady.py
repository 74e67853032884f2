"""Grade the reference solutions again and again while the machine is busy with something else.

`python -m tests.attacks.steady --times 50 ch3_dask` prints how often all points were earned; the
exit status is 1 if ever one was not. Without a name, all assignments of the course are graded.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from shardwork.course import Assignment, Course, load_course
from shardwork.notebook import fill
from shardwork.record import Record, Verdict
from shardwork.recordfile import read_record
from shardwork.starter import starter_notebook
from shardwork.verify import Kind, solutions_of
from tests.attacks.course import REPOSITORY

STUDENTS = ("reference-a", "reference-b")
"""Both are graded at once, as a batch on two cores does it."""
PRESSURE_BYTES = 1 << 30
LIMIT_S = 3600.0
_PARTS = ("course_config.py", "nbgrader_config.py", "source", "graders", "locale", "release")


@dataclass
class Tally:
    """How often an assignment was graded, and what was lost."""

    assignment: str
    graded: int = 0
    full: int = 0
    lost: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """Wall seconds of each submission."""

    def __str__(self) -> str:
        slow = f", {min(self.seconds):.0f} to {max(self.seconds):.0f} s" if self.seconds else ""
        return f"{self.assignment}: {self.full} of {self.graded} with full points{slow}"


@contextlib.contextmanager
def busy(count: int, pressure_bytes: int = PRESSURE_BYTES) -> Iterator[None]:
    """Keep so many cores busy, and so much memory in use, until the block ends."""
    context = multiprocessing.get_context("spawn")
    burners = [context.Process(target=burn, args=(pressure_bytes // count, os.getpid()),
                               daemon=True) for _ in range(count)]  # fmt: skip
    for burner in burners:
        burner.start()
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.join()


def burn(held_bytes: int, parent: int) -> None:
    """Compute, and touch the memory held so that it stays in use, while the parent lives."""
    held = bytearray(held_bytes)
    while os.getppid() == parent:
        for at in range(0, len(held), 4096):
            held[at] = (held[at] + 1) & 0xFF
        sum(i * i for i in range(1_000_000))


def make_course(root: Path, names: Sequence[str]) -> Course:
    """Copy the repository's course, and hand in the reference solution of each assignment."""
    ignored = shutil.ignore_patterns("__pycache__", ".*")
    for part in _PARTS:
        path = REPOSITORY / part
        if path.is_dir():
            shutil.copytree(path, root / part, ignore=ignored)
        else:
            root.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, root / part)
    course = load_course(root)
    for name in names:
        notebook = reference_notebook(course, course.assignment(name))
        for student in STUDENTS:
            folder = course.submitted / student / name
            folder.mkdir(parents=True)
            (folder / f"{name}.ipynb").write_text(nbformat.writes(notebook), encoding="utf-8")
    return course


def reference_notebook(course: Course, assignment: Assignment) -> nbformat.NotebookNode:
    """Return the released notebook with the reference solution in every exercise."""
    sources = {}
    for exercise in assignment.exercises:
        solutions = solutions_of(course, assignment.name, exercise.name)
        sources[exercise.name] = next(s.source for s in solutions if s.kind is Kind.REFERENCE)
    return fill(starter_notebook(course, assignment.name, "en"), sources)


def grade_once(course: Course, tally: Tally) -> None:
    """Grade both submissions anew with the real command, and count what they earn."""
    command = [sys.executable, "-m", "shardwork", "--course", str(course.root), "grade",
               tally.assignment, "--force", "--jobs", str(len(STUDENTS))]  # fmt: skip
    done = subprocess.run(
        command, cwd=course.root, env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    for student in STUDENTS:
        tally.graded += 1
        path = course.records / tally.assignment / f"{student}.json"
        if done.returncode != 0 and not path.is_file():
            tally.lost.append(f"exit status {done.returncode}: {done.stderr[-1500:]}")
            continue
        record = read_record(path)
        tally.seconds.append(record.timing.total_s)
        lost = list(lost_points(record))
        if done.returncode != 0 and not lost:
            lost.append(f"exit status {done.returncode}: {done.stdout[-800:]}{done.stderr[-800:]}")
        tally.full += not lost
        tally.lost += lost
        path.unlink()


def lost_points(record: Record) -> Iterator[str]:
    """Yield why a record does not have all points, and every check that did not pass."""
    if record.status != "graded" or record.points != record.max_points:
        yield f"{record.points:g} of {record.max_points:g} points, {record.status} {record.reason}"
    for exercise in record.exercises:
        for check in exercise.checks:
            if check.verdict is not Verdict.PASSED:
                yield (
                    f"{exercise.name}.{check.name} {check.verdict.value} {check.cause} "
                    f"{check.code} {check.message} {check.evidence} {check.detail[-600:]}"
                )
    for cell in record.cells:
        if cell.status != "ran":
            yield f"the cell {cell.cell_id} {cell.status}: {cell.error} {cell.text[-300:]}"


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def grade_often(names: Sequence[str], times: int, burners: int) -> list[Tally]:
    """Grade the reference of each assignment at least `times` times beside so many burners."""
    tallies = [Tally(name) for name in names]
    with tempfile.TemporaryDirectory(prefix="sws-") as folder:
        course = make_course(Path(folder, "course"), names)
        with busy(burners):
            # Assignments take turns, so that a run that is cut short has seen all of them.
            while any(tally.graded < times for tally in tallies):
                for tally in tallies:
                    if tally.graded < times:
                        began, known = time.monotonic(), len(tally.lost)
                        grade_once(course, tally)
                        sys.stderr.write(f"{tally} ({time.monotonic() - began:.0f} s)\n")
                        for what in tally.lost[known:]:
                            sys.stderr.write(f"  lost: {what}\n")
    return tallies


def main() -> int:
    """Grade and print the tally."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks.steady")
    parser.add_argument("assignments", nargs="*")
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument(
        "--burners", type=int, default=cores(), help="0 where others keep the machine busy"
    )
    chosen = parser.parse_args()
    every = [assignment.name for assignment in load_course(REPOSITORY).config.assignments]
    tallies = grade_often(chosen.assignments or every, chosen.times, chosen.burners)
    for tally in tallies:
        sys.stdout.write(f"{tally}\n" + "".join(f"  lost: {what}\n" for what in tally.lost))
    return 1 if any(tally.lost for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
