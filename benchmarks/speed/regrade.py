"""Regrade a class in which nothing has changed: milliseconds a submission.

The class is tests/tiny_course.py's: two exercises in pure Python. One submission is graded by the
real command. The others are the same bytes under other names, and so have the same keys: their
records are the first one's with their name in it, written by the engine's own function. A first run
then fills gradebook and pages; what is measured are the runs after it.
"""

from __future__ import annotations

import statistics
from pathlib import Path

import msgspec

from benchmarks.speed.classes import names_of_students
from benchmarks.speed.commands import CommandFailed
from benchmarks.speed.tools import Summary, grade
from shardwork.recordfile import read_record, record_path, write_record
from tests import tiny_course

RUNS = 3


class Regraded(msgspec.Struct, frozen=True):
    """Medians over the runs. `command_cpu_s` is that of a class of one: what a command costs."""

    submissions: int
    wall_s: float
    cpu_s: float
    command_cpu_s: float
    phases: dict[str, float]

    @property
    def each_ms(self) -> float:
        """Wall milliseconds of the whole command for each submission."""
        return 1000 * self.wall_s / self.submissions

    @property
    def more_cpu_ms(self) -> float:
        """CPU milliseconds that one more submission adds to what a command costs anyway.

        Of CPU time, because the difference of two wall times is noise on a busy machine.
        """
        return 1000 * (self.cpu_s - self.command_cpu_s) / (self.submissions - 1)


def regrade(folder: Path, submissions: int) -> Regraded:
    """Make the class below `folder`, and regrade it; CommandFailed if anything was judged."""
    name = tiny_course.NAME
    first, *others = names_of_students(submissions)
    answer = tiny_course.answered(tiny_course.RIGHT)
    single = tiny_course.make_tiny_course(folder / "single")
    tiny_course.hand_in(single, first, answer)
    grade(single, name)
    record = read_record(record_path(single, name, first))
    course = tiny_course.copy_course(single, folder / "class")
    for student in others:
        tiny_course.hand_in(course, student, answer)
        write_record(course, msgspec.structs.replace(record, student=student))
    grade(course, name)
    turns = [(grade(single, name), grade(course, name)) for _ in range(RUNS)]
    alone, runs = zip(*turns, strict=True)
    said = [msgspec.json.decode(run.stdout, type=Summary) for run in runs]
    if any(one["judged"] for summary in said for one in summary.submissions):
        raise CommandFailed("a submission was judged again, though nothing had changed")
    phases = {key for summary in said for key in summary.phases}
    return Regraded(
        submissions,
        statistics.median(run.wall_s for run in runs),
        statistics.median(run.cpu_s for run in runs),
        statistics.median(run.cpu_s for run in alone),
        {p: statistics.median(s.phases.get(p, 0.0) for s in said) for p in sorted(phases)},
    )
