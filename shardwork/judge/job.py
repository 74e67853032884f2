"""What the batch asks of its judges, and what they answer: JSON.

A station of judges is started once for a batch, with a `Setting`. It forks a judge for each `Job`.
A judge prepares its sandbox, says so, and goes on when it is its turn.
"""

from __future__ import annotations

import msgspec

from shardwork.course import Assignment
from shardwork.record import CellOutcome, CheckResult
from shardwork.sandbox.zygote import Plan


class Variant(msgspec.Struct, frozen=True):
    """What to judge: `exercises`, for `seeds`, with `sources` as the cells of these grade ids."""

    name: str
    exercises: tuple[str, ...]
    sources: dict[str, str]
    seeds: tuple[int, ...]


class Setting(msgspec.Struct, frozen=True):
    """What all jobs of a batch share on the machine where they are judged.

    `plan` says how sandboxes are made, `protections` what they consist of, `graders` is the folder
    of the assignment's graders, `files` the folder of a notebook's extra files (public checks,
    data) as the zygote sees it, by what a job calls it. The graders of `exercises` are loaded;
    `codes` has the misconceptions that each may name. For `seeds`, what graders prepare is computed
    before the first job; a job may have others.
    """

    assignment: Assignment
    plan: Plan
    protections: tuple[str, ...]
    graders: str
    files: dict[str, str]
    exercises: tuple[str, ...]
    codes: dict[str, tuple[str, ...]]
    seeds: tuple[int, ...] = ()

    def limit_s(self, job: Job) -> float:
        """Wall seconds that a job's notebook and all its checks may take."""
        judged = sum(len(v.seeds) * len(v.exercises) for v in job.variants)
        return self.assignment.limits.total_s + judged * self.assignment.limits.exercise_s


class Job(msgspec.Struct, frozen=True):
    """One notebook to run and judge; nothing in it depends on the machine.

    `notebook` is the rebuilt notebook as JSON, `files` names extra files of the setting, or none.
    Grading gives one variant without sources; `shardwork verify` gives one for each solution.
    """

    notebook: str
    files: str
    variants: tuple[Variant, ...]


class Prepared(msgspec.Struct, frozen=True, tag="prepared"):
    """The sandbox of a job is there; the judge waits until it is told to go on."""


GO = b"go\n"
"""What it is told. A job and this are one line each."""


class Judged(msgspec.Struct, frozen=True, tag="judged"):
    """The checks of one exercise for one variant and seed."""

    variant: str
    seed: int
    exercise: str
    checks: tuple[CheckResult, ...]


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """The judge is done; its last line. `judge_s` leaves out what it waited for its turn."""

    cells: tuple[CellOutcome, ...]
    sandbox_s: float
    notebook_s: float
    judge_s: float
    peak_bytes: int
    starts: int


class Problem(msgspec.Struct, frozen=True, tag="problem"):
    """The judge could not do its work: an error of ours."""

    text: str


Event = Prepared | Judged | Finished | Problem


class Loaded(msgspec.Struct, frozen=True, tag="loaded"):
    """The station has loaded the graders and waits for jobs."""


class Sit(msgspec.Struct, frozen=True):
    """Fork a judge for a job. With it: the socket over which the job comes and the events go.

    The station's first byte on that socket carries a process descriptor of the judge. `folder` is
    for its temporary files; whoever asks removes it.
    """

    folder: str


LOADED: msgspec.msgpack.Decoder[Loaded | Problem] = msgspec.msgpack.Decoder(Loaded | Problem)
SIT: msgspec.msgpack.Decoder[Sit] = msgspec.msgpack.Decoder(Sit)
