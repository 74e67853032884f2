"""`python -m benchmarks.speed`: measure, print tables, keep JSON and a picture."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console

from benchmarks.speed.classes import REPOSITORY
from benchmarks.speed.commands import CommandFailed
from benchmarks.speed.figures import Report, Run, Tool, Where, file_name, where_time_goes
from benchmarks.speed.machine import machine, versions
from benchmarks.speed.tables import lines, submissions_of, tools_table, where_table
from shardwork.batch import default_jobs
from shardwork.console import result_console
from shardwork.course import load_course
from shardwork.errors import ExitCode, ShardworkError

RESULTS = REPOSITORY / "benchmarks" / "results"
LABEL = "speed"
PICTURE = "speed.svg"
PREFIX = "swb-"
TARGET_MS = 20.0
TARGET_BYTES = 512 << 20


@click.command(context_settings={"max_content_width": 100})
@click.argument("assignments", nargs=-1, metavar="[ASSIGNMENT]...")
@click.option(
    "--students", type=click.IntRange(1, 999), default=6, show_default=True,
    help="Submissions in the class.",
)  # fmt: skip
@click.option(
    "--stock", type=click.IntRange(1, 999), metavar="N",
    help="Submissions of the class that the stock tools grade, one after the other. Default: all.",
)  # fmt: skip
@click.option(
    "--jobs", type=click.IntRange(1, 256),
    help="Submissions that Shardwork judges at once. Default: as `shardwork grade` has it.",
)  # fmt: skip
@click.option(
    "--tool", "tools", multiple=True, type=click.Choice([t.value for t in Tool]),
    help="Only these tools. Default: all.",
)  # fmt: skip
@click.option(
    "--results", type=click.Path(path_type=Path, file_okay=False), default=RESULTS,
    help="Where the results go. Default: benchmarks/results.",
)  # fmt: skip
@click.option(
    "--label", default=LABEL, show_default=True, metavar="WORD",
    help="Of the comparison's file. The picture is drawn for the default one only.",
)  # fmt: skip
@click.option("--note", default="", help="A sentence to be kept with the result.")
@click.option(
    "--regrade", "regraded", type=click.IntRange(2, 9999), metavar="N",
    help="Instead: regrade a made-up class of N in which nothing has changed.",
)  # fmt: skip
@click.option(
    "--memory", "judged", type=click.IntRange(4, 9999), metavar="N",
    help="Instead: the memory of the trusted side while N submissions are judged.",
)  # fmt: skip
@click.option(
    "--verify", "verified", is_flag=True,
    help="Instead: seconds a solution of `shardwork verify`, warm. Default assignment: ch2_spark.",
)  # fmt: skip
@click.option(
    "--simulate", "simulated", is_flag=True,
    help="Instead: synthetic submissions on 1 to 32 workers of a Dask scheduler.",
)  # fmt: skip
def main(
    assignments: tuple[str, ...],
    students: int,
    stock: int | None,
    jobs: int | None,
    tools: tuple[str, ...],
    results: Path,
    label: str,
    note: str,
    regraded: int | None,
    judged: int | None,
    verified: bool,
    simulated: bool,
) -> None:
    """Grade the same class with Shardwork, stock nbgrader and otter, and compare.

    Exit status 1 if something could not be measured.
    """
    course = load_course(REPOSITORY)
    first = course.assignment(assignments[0]) if assignments else course.config.assignments[0]
    slots = jobs or default_jobs(first)
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as folder:
        if regraded:
            _regrade(Path(folder), results, regraded, note)
        elif judged:
            _memory(Path(folder), results, judged, assignments, slots, note)
        elif verified:
            _verify(Path(folder), results, first.name, note)
        elif simulated:
            _simulate(Path(folder), results, note)
        else:
            names = assignments or tuple(a.name for a in course.config.assignments)
            chosen = [Tool(tool) for tool in tools] or list(Tool)
            report = _compare(Path(folder), names, students, stock or students, jobs, chosen, note)
            _show(report, results, label)
            if report.problems:
                sys.exit(ExitCode.FINDINGS)


def _compare(
    folder: Path,
    names: Sequence[str],
    students: int,
    stock: int,
    jobs: int | None,
    tools: Sequence[Tool],
    note: str,
) -> Report:
    from benchmarks.speed.starts import cluster_start_s
    from benchmarks.speed.tools import Classroom

    progress = Console(stderr=True)
    described = machine()
    classroom = Classroom(folder, names, students, min(stock, students))
    runs: list[Run] = []
    where: list[Where] = []
    problems: list[str] = []

    def shardwork(name: str) -> None:
        assignment = classroom.course.assignment(name)
        slots = jobs or default_jobs(assignment)
        graded = classroom.shardwork(name, slots)
        runs.append(graded.run)
        start_s = cluster_start_s(classroom.course, assignment, slots)
        where.append(
            where_time_goes(
                name, graded.run.wall_s, graded.phases, graded.timings, min(slots, students),
                start_s, cluster_ahead=assignment.cluster.spark_master is not None,
            )
        )  # fmt: skip

    measure: dict[Tool, Callable[[str], None]] = {
        Tool.SHARDWORK: shardwork,
        Tool.NBGRADER: lambda name: runs.append(classroom.nbgrader(name)),
        Tool.OTTER: lambda name: runs.append(classroom.otter(name)),
    }
    for name in names:
        # Shardwork first: it pays for what the disk has not read yet.
        for tool in (tool for tool in Tool if tool in tools):
            progress.print(f"{name}: {tool.value}")
            try:
                measure[tool](name)
            except (CommandFailed, ShardworkError) as error:  # the others are still worth it
                problems.append(f"{name}, {tool.value}: {error}")
    return Report(
        _now(), described, versions(), tuple(runs), tuple(where), tuple(problems), note
    )  # fmt: skip


def _show(report: Report, results: Path, label: str) -> None:
    from benchmarks.speed.picture import draw

    console = result_console()
    console.print(tools_table(report.runs))
    if report.where:
        console.print(where_table(report.where, submissions_of(report)))
    for line in lines(report):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    _keep(results, label, report)
    if report.where and label == LABEL:
        (results / PICTURE).write_text(draw(report), encoding="utf-8")


def _regrade(folder: Path, results: Path, submissions: int, note: str) -> None:
    from benchmarks.speed.regrade import regrade

    found = regrade(folder, submissions)
    click.echo(
        f"{submissions} unchanged submissions regraded in {found.wall_s:.1f} s: "
        f"{found.each_ms:.1f} ms each (target: at most {TARGET_MS:g} ms). CPU time: "
        f"{found.cpu_s:.1f} s, and {found.command_cpu_s:.1f} s for a class of one, so one more "
        f"submission adds {found.more_cpu_ms:.1f} ms.\n"
        f"phases in s: {found.phases}"
    )
    _keep(results, "regrade", _Other(_now(), machine(), versions(), found, note))


def _memory(
    folder: Path, results: Path, submissions: int, assignments: Sequence[str], jobs: int, note: str
) -> None:
    from benchmarks.speed.memory import memory

    found = memory(folder, submissions, assignments[0] if assignments else "", jobs)
    for one in found:
        click.echo(
            f"{one.role.value:22} peak {one.peak_bytes >> 20:5} MiB, in the first quarter "
            f"{one.early_bytes >> 20:5} MiB, in the last {one.late_bytes >> 20:5} MiB"
        )
    click.echo(f"Target for station and judges: at most {TARGET_BYTES >> 20} MiB, and flat.")
    _keep(results, "memory", _Other(_now(), machine(), versions(), found, note))


def _verify(folder: Path, results: Path, assignment: str, note: str) -> None:
    from benchmarks.speed.matrix import verify

    found = verify(folder, assignment)
    click.echo(
        f"{assignment}: one solution {found.one_s:.1f} s, {found.solutions} solutions "
        f"{found.all_s:.1f} s with one job and one seed: {found.each_s:.2f} s a solution, warm."
    )
    _keep(results, "verify", _Other(_now(), machine(), versions(), found, note))


def _simulate(folder: Path, results: Path, note: str) -> None:
    from benchmarks.speed.simulation import simulate

    found = simulate(folder)
    for one in found:
        click.echo(
            f"{one.workers:3} workers: {one.submissions:4} submissions in {one.wall_s:6.1f} s, "
            f"{one.per_minute:6.0f} a minute, workers busy {one.efficiency:4.0%} of the time"
        )
    _keep(results, "simulation", _Other(_now(), machine(), versions(), found, note))


class _Other(msgspec.Struct, frozen=True):
    """The result of one of the other measurements, as it is kept."""

    date: str
    machine: dict[str, str | int | float]
    versions: dict[str, str]
    found: Any
    note: str = ""


def _keep(results: Path, label: str, report: Report | _Other) -> None:
    results.mkdir(parents=True, exist_ok=True)
    path = results / file_name(datetime.now(UTC).date(), label)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    click.echo(f"kept in {path}", err=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


if __name__ == "__main__":
    main()
