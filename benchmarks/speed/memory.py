"""The memory of the trusted side over many submissions: is it flat, and how much is it?

Many submissions are judged by one batch, and every sample is taken apart: the batch itself, its
station and judges, and all else (zygote and sandboxes, which are the student's side).
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.speed.classes import (
    copy_course,
    hand_in,
    names_of_students,
    reference_text,
)
from benchmarks.speed.commands import CommandFailed, Sample, run
from benchmarks.speed.tools import environment, shardwork
from shardwork.course import Course
from tests import tiny_course


class Role(enum.Enum):
    """What a process of a batch is for."""

    BATCH = "batch"
    JUDGES = "station and judges"
    INSIDE = "zygote and sandboxes"


class Series(msgspec.Struct, frozen=True):
    """The memory of one role over the run, in bytes: largest of its first and last quarter."""

    role: Role
    early_bytes: int
    late_bytes: int
    peak_bytes: int


def role_of(command: str) -> Role:
    """Tell by its command line what a process of a batch is for."""
    if "-m shardwork.judge" in command:
        return Role.JUDGES
    return Role.BATCH if "-m shardwork --course" in command else Role.INSIDE


def series(samples: Sequence[Sample]) -> list[Series]:
    """Add up each sample by role and compare the first quarter of the run with the last."""
    found = []
    for role in Role:
        sums = [sum(p.pss_bytes for p in s if role_of(p.command) is role) for s in samples]
        quarter = max(1, len(sums) // 4)
        found.append(
            Series(
                role,
                max(sums[:quarter], default=0),
                max(sums[-quarter:], default=0),
                max(sums, default=0),
            )
        )
    return found


def memory(folder: Path, submissions: int, assignment: str, jobs: int) -> list[Series]:
    """Grade so many reference solutions of an assignment in one batch.

    Without an assignment they are the cheap ones of tests/tiny_course.py.
    """
    course, name = _tiny(folder, submissions) if not assignment else _real(
        folder, submissions, assignment
    )  # fmt: skip
    samples: list[Sample] = []
    command = shardwork(course, "grade", name, "--json", "--force", "--jobs", str(jobs))
    spent = run(command, course.root, environment(), samples.append)
    if spent.status != 0:
        raise CommandFailed(spent.stderr[-1500:])
    # After the last submission is judged, only the batch is left.
    judging = [s for s in samples if any(role_of(p.command) is Role.JUDGES for p in s)]
    return series(judging)


def _tiny(folder: Path, submissions: int) -> tuple[Course, str]:
    course = tiny_course.make_tiny_course(folder / "course")
    for student in names_of_students(submissions):
        tiny_course.hand_in(course, student, tiny_course.answered(tiny_course.RIGHT))
    return course, tiny_course.NAME


def _real(folder: Path, submissions: int, assignment: str) -> tuple[Course, str]:
    course = copy_course(folder / "course")
    text = reference_text(course, course.assignment(assignment))
    hand_in(course.submitted, assignment, names_of_students(submissions), text)
    return course, assignment
