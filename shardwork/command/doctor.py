"""`shardwork doctor`: what this machine has, what it lacks, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shardwork.errors import ExitCode

if TYPE_CHECKING:
    from shardwork.doctor import Diagnosis


@click.command()
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the findings as JSON (schema shardwork.doctor/1).",
)
def command(as_json: bool) -> ExitCode:
    """Check whether the course can be run and graded on this machine.

    Looks at Python, the pinned packages, Java, the sandbox, memory and disk. Changes nothing.
    Exits with 4 if something is missing without which nothing can be graded here.
    """
    from pathlib import Path

    import msgspec

    from shardwork.doctor import diagnose

    folder = click.get_current_context().find_root().obj or Path.cwd()
    diagnosis = diagnose(folder)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(diagnosis), indent=2).decode())
    else:
        _print(diagnosis)
    return ExitCode.DONE if diagnosis.can_grade else ExitCode.ENVIRONMENT


def _print(diagnosis: Diagnosis) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    styles = {"ok": "green", "warning": "yellow", "problem": "bold red"}
    table = Table(box=None, pad_edge=False)
    table.add_column("what", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("found", overflow="fold")
    table.add_column("next step", overflow="fold")
    for finding in diagnosis.findings:
        state = Text(finding.state.value, style=styles[finding.state.value])
        table.add_row(finding.name, state, Text(finding.found), Text(finding.next_step))
    console = Console()
    console.print(table)
    verdict = "can" if diagnosis.can_grade else "cannot"
    console.print(f"The course {verdict} be graded on this machine.")
