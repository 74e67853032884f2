"""`shardwork collect`: put what an LMS let you download into `submitted/`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shardwork.command import current_course
from shardwork.errors import ExitCode

if TYPE_CHECKING:
    from shardwork.collect import Collection


@click.command()
@click.argument("assignment")
@click.argument("download", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--roster",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV with the LMS's numbers and the students' names; Moodle needs one.",
)
@click.option("--force", is_flag=True, help="Replace notebooks that stand there, newer or not.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON (docs/json.md).")
def command(
    assignment: str, download: Path, roster: Path | None, force: bool, dry_run: bool, as_json: bool
) -> ExitCode:
    """Put the notebooks of DOWNLOAD, a zip from Canvas or Moodle, into submitted/.

    Who handed in, and when, is taken from what the LMS wrote, and from the roster. What cannot be
    decided by that is set aside with a reason, and the exit status is 1.
    """
    import msgspec

    from shardwork.collect import State, collect

    course = current_course()
    found = course.assignment(assignment)
    collection = collect(course, found, download, roster=roster, force=force, dry_run=dry_run)
    if as_json:
        click.echo(msgspec.json.encode(collection).decode())
    else:
        _print(collection)
    return ExitCode.FINDINGS if collection.count(State.SET_ASIDE) else ExitCode.DONE


def _print(collection: Collection) -> None:
    from rich.table import Table
    from rich.text import Text

    from shardwork.collect import State
    from shardwork.console import result_console

    table = Table(title=collection.assignment, title_justify="left")
    for heading in ("student", "what", "handed in", "file", "note"):
        table.add_column(heading, overflow="fold")
    for item in collection.items:
        when = item.submitted_at or "-"
        table.add_row(
            Text(item.student or "-"),
            Text(item.state.value),
            Text(f"{when} (late)" if item.late else when),
            Text(item.file),
            Text(item.reason),
        )
    console = result_console()
    console.print(table)
    counts = ", ".join(f"{collection.count(state)} {state.value}" for state in State)
    console.print(f"{counts}." + (" Nothing was written." if collection.dry_run else ""))
