"""What the batch asks of a judge process, and what the judge answers: JSON lines over pipes."""

from __future__ import annotations

import msgspec

from shardwork.course import Assignment
from shardwork.record import CellOutcome, CheckResult
from shardwork.sandbox.zygote import Plan


class Variant(msgspec.Struct, frozen=True):
    """One set of solutions to judge: cells replaced in the notebook (by grade id), and seeds."""

    name: str
    sources: dict[str, str]
    seeds: tuple[int, ...]


class Job(msgspec.Struct, frozen=True):
    """One notebook to run and judge.

    `plan` says how its sandboxes are made. `notebook` is the rebuilt notebook as JSON, `files` the
    folder, as the zygote sees it, of its extra files (public checks, data), `graders` the folder of
    the assignment's graders, `codes` the misconceptions that a grader may name, by exercise.
    Grading gives one variant without sources; `shardwork verify` gives one for each solution.
    """

    assignment: Assignment
    plan: Plan
    notebook: str
    files: str
    graders: str
    codes: dict[str, tuple[str, ...]]
    exercises: tuple[str, ...]
    variants: tuple[Variant, ...]

    @property
    def limit_s(self) -> float:
        """Wall seconds that its notebook and all its checks may take."""
        judged = sum(len(v.seeds) for v in self.variants) * len(self.exercises)
        return self.assignment.limits.total_s + judged * self.assignment.limits.exercise_s


class Judged(msgspec.Struct, frozen=True, tag="judged"):
    """The checks of one exercise for one variant and seed."""

    variant: str
    seed: int
    exercise: str
    checks: tuple[CheckResult, ...]


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """The judge is done; its last line."""

    cells: tuple[CellOutcome, ...]
    notebook_s: float
    judge_s: float
    peak_bytes: int
    starts: int


class Problem(msgspec.Struct, frozen=True, tag="problem"):
    """The judge could not do its work: an error of ours."""

    text: str


Event = Judged | Finished | Problem
