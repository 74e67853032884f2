"""Hand a graded class back: gradebook, feedback pages and report, all from records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from shardwork.course import Assignment, Course
from shardwork.errors import ShardworkError
from shardwork.feedback import write_feedback
from shardwork.gradebook import write_gradebook
from shardwork.phases import Phases
from shardwork.record import Record
from shardwork.report import write_report


class HandedBack(msgspec.Struct, frozen=True):
    """What was written. `problems` are sentences; each is about one thing that was not."""

    feedback: tuple[Path, ...] = ()
    report: Path | None = None
    problems: tuple[str, ...] = ()
    answers_waiting: int = 0
    """How many answers to written questions wait for a person in formgrader."""


def hand_back(
    course: Course,
    assignment: Assignment,
    records: Sequence[Record],
    notebooks: Mapping[str, Path],
    phases: Phases | None = None,
) -> HandedBack:
    """Write gradebook, feedback and report for these records; `phases` is told the time of each.

    `notebooks` has, by student, the file with the notebook that was judged just now.

    Each step is tried whatever became of the one before: records are already safe, and a broken
    gradebook should not keep the feedback from students.
    """
    phases = phases or Phases()
    problems: list[str] = []
    feedback: list[Path] = []
    report: Path | None = None
    waiting = 0
    try:
        with phases("gradebook"):
            written = write_gradebook(course, assignment.name, records, notebooks)
        problems += [f"{assignment.name}/{name}: {why}" for name, why in written.failed.items()]
    except ShardworkError as error:
        problems.append(f"gradebook: {error}")
    try:
        with phases("feedback"):
            feedback = write_feedback(course, assignment.name, records)
    except ShardworkError as error:
        problems.append(f"feedback: {error}")
    try:
        with phases("report"):
            report, shown = write_report(course, assignment.name, records)
            waiting = shown.answers_waiting
    except ShardworkError as error:
        problems.append(f"report: {error}")
    return HandedBack(tuple(feedback), report, tuple(problems), waiting)
