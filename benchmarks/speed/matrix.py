"""Seconds that `shardwork verify` takes for one more solution, once everything is warm.

The command runs twice with one job and one seed: for the reference alone, and for all solutions of
the first exercise. The difference, divided by how many more they are, is what a solution costs in a
judge and a cluster that have started.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from benchmarks.speed.classes import copy_course
from benchmarks.speed.commands import CommandFailed, run
from benchmarks.speed.tools import environment, shardwork
from shardwork.verify import solutions_of


class Verified(msgspec.Struct, frozen=True):
    """Wall seconds of the two runs."""

    solutions: int
    one_s: float
    all_s: float

    @property
    def each_s(self) -> float:
        """One more solution, warm."""
        return (self.all_s - self.one_s) / (self.solutions - 1)


def verify(folder: Path, assignment: str) -> Verified:
    """Prove the assignment's first exercise twice; CommandFailed if the matrix is not clean."""
    course = copy_course(folder / "course")
    exercise = course.assignment(assignment).exercises[0].name
    named = f"{assignment}/{exercise}"
    solutions = solutions_of(course, assignment, exercise)
    seconds = []
    for only in (["--only", "reference"], []):
        command = shardwork(course, "verify", named, "--jobs", "1", "--seeds", "1", *only)
        spent = run(command, course.root, environment())
        if spent.status != 0:
            raise CommandFailed(f"{spent.stdout[-1500:]}{spent.stderr[-1500:]}")
        seconds.append(spent.wall_s)
    return Verified(len(solutions), *seconds)
