"""The figures of a run, and the arithmetic behind them: plain data in, plain data out."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Mapping, Sequence

import msgspec

SCHEMA = "shardwork.bench.speed/1"


class Tool(enum.Enum):
    """What graded the class."""

    SHARDWORK = "shardwork"
    NBGRADER = "nbgrader"
    OTTER = "otter"


class Run(msgspec.Struct, frozen=True):
    """One class of one assignment, graded by one tool."""

    assignment: str
    tool: Tool
    submissions: int
    right: int
    """Submissions for which the tool says that everything is right; all should be."""
    at_once: int
    """How many submissions it worked on at the same time."""
    wall_s: float
    cpu_s: float
    cpu_from: str
    peak_bytes: int

    @property
    def per_minute(self) -> float:
        """Submissions per minute of wall time, with everything that the command does."""
        return 60.0 * self.submissions / self.wall_s

    @property
    def cpu_each_s(self) -> float:
        return self.cpu_s / self.submissions


class Timing(msgspec.Struct, frozen=True):
    """Wall seconds of one submission in its slot, as its record has them."""

    sandbox_s: float = 0.0
    notebook_s: float = 0.0
    judge_s: float = 0.0
    total_s: float = 0.0


class Part(enum.Enum):
    """Where Shardwork's wall time goes."""

    COMMAND = "command"
    """The interpreter, imports, and what no phase counts."""
    INGEST = "ingest"
    START = "zygote and station"
    CLUSTER = "cluster start"
    """What the notebook itself starts: ranks, Dask's workers."""
    NOTEBOOK = "notebook"
    JUDGING = "judging"
    RECORDS = "records"
    IDLE = "idle"
    """A slot that waits for a sandbox, or has nothing left to judge."""
    GRADEBOOK = "gradebook"
    FEEDBACK = "feedback"
    REPORT = "report"


class Where(msgspec.Struct, frozen=True):
    """Wall seconds of one command by part; they add up to its wall time.

    What several slots do at once counts as the share of a slot, so two submissions of 10 s each
    that run side by side are 10 s.
    """

    assignment: str
    seconds: dict[str, float]
    cluster_start_s: float
    """One start of the assignment's cluster, timed by itself (`starts`)."""
    ahead: dict[str, float]
    """Wall seconds of what was done while other submissions were judged, summed: sandboxes, and
    the Spark sessions in them. Slots wait for it only in so far as they are idle."""


class Report(msgspec.Struct, frozen=True):
    """A whole run of the benchmark, as it is kept."""

    date: str
    """UTC, ISO 8601."""
    machine: dict[str, str | int | float]
    versions: dict[str, str]
    runs: tuple[Run, ...]
    where: tuple[Where, ...]
    problems: tuple[str, ...] = ()
    """What could not be measured."""
    note: str = ""
    schema: str = SCHEMA


def ratios(runs: Sequence[Run], of: Tool = Tool.SHARDWORK) -> dict[tuple[str, Tool], float]:
    """Return, by assignment and other tool, how many times as many submissions a minute `of` does.

    Assignments that `of` did not grade are left out.
    """
    rates = {(run.assignment, run.tool): run.per_minute for run in runs}
    return {
        (name, tool): rates[name, of] / rate
        for (name, tool), rate in rates.items()
        if tool is not of and (name, of) in rates
    }


def where_time_goes(
    assignment: str,
    wall_s: float,
    phases: Mapping[str, float],
    timings: Sequence[Timing],
    slots: int,
    cluster_start_s: float,
    *,
    cluster_ahead: bool = False,
) -> Where:
    """Divide the wall seconds of a command among the parts.

    `cluster_ahead` says that the cluster is started with the sandbox, and not by the notebook. A
    phase or a time that is missing counts as 0; what it took is then in `idle` or `command`. No
    part is less than 0.
    """
    starts_s = sum(
        min(cluster_start_s, t.sandbox_s if cluster_ahead else t.notebook_s) for t in timings
    )
    sandboxes_s = sum(t.sandbox_s for t in timings)
    ahead = {"sandbox": sandboxes_s}
    if cluster_ahead:
        ahead = {"sandbox": sandboxes_s - starts_s, "cluster start": starts_s}
    spent = dict.fromkeys(Part, 0.0)
    spent[Part.INGEST] = phases.get("ingest", 0.0)
    spent[Part.START] = phases.get("start", 0.0)
    spent[Part.CLUSTER] = 0.0 if cluster_ahead else starts_s / slots
    spent[Part.NOTEBOOK] = sum(t.notebook_s for t in timings) / slots - spent[Part.CLUSTER]
    spent[Part.JUDGING] = sum(t.judge_s for t in timings) / slots
    spent[Part.RECORDS] = phases.get("records", 0.0) / slots
    busy = (Part.CLUSTER, Part.NOTEBOOK, Part.JUDGING, Part.RECORDS)
    spent[Part.IDLE] = max(0.0, phases.get("judging", 0.0) - sum(spent[part] for part in busy))
    for part in (Part.GRADEBOOK, Part.FEEDBACK, Part.REPORT):
        spent[part] = phases.get(part.value, 0.0)
    spent[Part.COMMAND] = max(0.0, wall_s - sum(spent.values()))
    return Where(
        assignment,
        {part.value: round(s, 3) for part, s in spent.items()},
        cluster_start_s,
        {name: round(s, 3) for name, s in ahead.items()},
    )


def file_name(day: dt.date, label: str) -> str:
    """Return the name of a result: `2026-11-24-speed.json`."""
    return f"{day.isoformat()}-{label}.json"
