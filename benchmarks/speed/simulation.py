"""How throughput grows with workers, from 1 to 32: synthetic submissions on real Dask workers.

`shardwork grade --scheduler` as it is, with a real scheduler and real workers (threads of this
process), but for one thing: a judge waits as long as a submission takes, and computes nothing. So
one machine can play 32, and what is measured is what all of them share: the batch, which ingests,
sends and writes records, and the scheduler.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import msgspec
from distributed import LocalCluster

from benchmarks.speed.classes import names_of_students
from benchmarks.speed.commands import CommandFailed
from shardwork import remote
from shardwork.batch import Settings, grade
from shardwork.course import Isolation
from shardwork.judge.job import Finished, Job, Judged, Setting
from shardwork.record import CheckResult, Verdict
from tests import tiny_course

WORKERS = (1, 2, 4, 8, 16, 32)
EACH_S = 2.0
"""Mean seconds of a synthetic submission; they are spread as real ones are, log-normally."""
SPREAD = 0.4
FOR_EACH_WORKER = 8


class Simulated(msgspec.Struct, frozen=True):
    """One run. `ideal_s` is the sum of all waits divided by the workers."""

    workers: int
    submissions: int
    wall_s: float
    ideal_s: float

    @property
    def per_minute(self) -> float:
        return 60 * self.submissions / self.wall_s

    @property
    def efficiency(self) -> float:
        """The share of the workers' time in which they had something to judge."""
        return self.ideal_s / self.wall_s


class _Waits:
    """Stands for the judges of a worker."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def __enter__(self) -> _Waits:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def simulate(folder: Path) -> list[Simulated]:
    """Grade a class of eight submissions for each worker, with more and more workers."""
    return [_simulate(folder / str(workers), workers) for workers in WORKERS]


def _simulate(folder: Path, workers: int) -> Simulated:
    course = tiny_course.make_tiny_course(folder)
    answer = tiny_course.answered(tiny_course.RIGHT)
    students = names_of_students(FOR_EACH_WORKER * workers)
    for student in students:
        tiny_course.hand_in(course, student, answer)
    waited: list[float] = []
    draw = random.Random(workers)

    def wait(job: Job, judges: _Waits, heard: Callable[[Judged], None]) -> Finished:
        seconds = EACH_S * draw.lognormvariate(-(SPREAD**2) / 2, SPREAD)
        time.sleep(seconds)
        waited.append(seconds)
        passed = (CheckResult("check", "It is right.", Verdict.PASSED),)
        variant = job.variants[0]
        for exercise in variant.exercises:
            heard(Judged(variant.name, variant.seeds[0], exercise, passed))
        return Finished((), 0.0, seconds, 0.0, 0, 1)

    local = {"processes": False, "threads_per_worker": 1, "dashboard_address": None}
    with (
        mock.patch.object(remote, "JudgeProcesses", _Waits),
        mock.patch.object(remote, "run_judge", wait),
        LocalCluster(n_workers=workers, **local) as cluster,
    ):
        settings = Settings(Isolation.NONE, 1, scheduler=cluster.scheduler_address)
        began = time.monotonic()
        graded = grade(course, course.assignment(tiny_course.NAME), settings)
        wall_s = time.monotonic() - began
    if not all(one.judged and one.record is not None for one in graded):
        raise CommandFailed(next(one.problem for one in graded if one.record is None))
    return Simulated(workers, len(students), wall_s, sum(waited) / workers)
