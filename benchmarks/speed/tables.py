"""The figures as tables that a person can read."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from benchmarks.speed.figures import Part, Report, Run, Tool, Where, ratios


def tools_table(runs: Sequence[Run]) -> Table:
    """One row for each assignment and tool."""
    table = Table(title="The same class, graded by each tool", title_justify="left")
    for name in ("assignment", "tool"):
        table.add_column(name)
    for name in ("right", "at once", "wall s", "a minute", "Shardwork does", "CPU s each",
                 "peak MB"):  # fmt: skip
        table.add_column(name, justify="right")
    times = ratios(runs)
    for run in runs:
        ratio = times.get((run.assignment, run.tool))
        table.add_row(
            run.assignment,
            run.tool.value,
            f"{run.right} of {run.submissions}",
            str(run.at_once),
            f"{run.wall_s:.1f}",
            f"{run.per_minute:.2f}",
            "" if ratio is None else f"{ratio:.1f} times as many",
            f"{run.cpu_each_s:.1f}",
            f"{run.peak_bytes / 1e6:.0f}",
        )
    return table


def where_table(where: Sequence[Where], submissions: dict[str, int]) -> Table:
    """One row for each part, wall seconds a submission in a column for each assignment."""
    table = Table(
        title="Where Shardwork's time goes: wall seconds a submission", title_justify="left"
    )
    table.add_column("part")
    for one in where:
        table.add_column(one.assignment, justify="right")
    for part in Part:
        table.add_row(
            part.value,
            *(f"{one.seconds[part.value] / submissions[one.assignment]:.2f}" for one in where),
        )
    table.add_section()
    table.add_row(
        "all", *(f"{sum(o.seconds.values()) / submissions[o.assignment]:.2f}" for o in where)
    )
    table.add_section()
    for name in dict.fromkeys(name for one in where for name in one.ahead):
        table.add_row(
            f"meanwhile: {name}",
            *(
                f"{one.ahead[name] / submissions[one.assignment]:.2f}" if name in one.ahead else ""
                for one in where
            ),
        )
    return table


def submissions_of(report: Report) -> dict[str, int]:
    """Return how many submissions Shardwork graded, by assignment."""
    return {run.assignment: run.submissions for run in report.runs if run.tool is Tool.SHARDWORK}


def lines(report: Report) -> list[str]:
    """Say in sentences what the tables rest on."""
    machine = ", ".join(f"{name} {value}" for name, value in report.machine.items())
    versions = ", ".join(f"{name} {value}" for name, value in report.versions.items())
    counted = sorted({run.cpu_from for run in report.runs})
    found = [
        f"machine: {machine}",
        f"versions: {versions}",
        f"CPU seconds: {'; '.join(counted)}. Memory: PSS of all processes, sampled each second.",
    ]
    found += [f"not measured: {problem}" for problem in report.problems]
    return [*found, f"note: {report.note}"] if report.note else found
