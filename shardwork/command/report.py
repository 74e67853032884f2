"""`shardwork report`: write the class report from what is on record."""

from __future__ import annotations

import click

from shardwork.command import current_course
from shardwork.command.feedback import chosen_records
from shardwork.errors import ExitCode, ShardworkError


@click.command()
@click.argument("assignments", nargs=-1, metavar="[ASSIGNMENT]...")
@click.option(
    "--language", metavar="LANG", help="The report's language. Default: the course's first."
)
def command(assignments: tuple[str, ...], language: str | None) -> ExitCode:
    """Write the class report of each of the ASSIGNMENTs (default: all) that has records.

    First what waits for a teaching assistant, then points, exercises, misconceptions and times.
    """
    course = current_course()
    if language is not None and language not in course.config.languages:
        known = ", ".join(course.config.languages)
        raise click.BadParameter(f"the course has: {known}.", param_hint="'--language'")
    chosen = chosen_records(course, assignments)
    from shardwork.report import write_report

    worst = ExitCode.DONE
    for name, records in chosen.items():
        try:
            path, report = write_report(course, name, records, language)
        except ShardworkError as error:
            click.echo(f"Error: {name}: {error}", err=True)  # the other assignments go on
            worst = error.exit_code if worst is ExitCode.DONE else worst
            continue
        waiting = len({to_do.student for to_do in report.to_do})
        click.echo(f"{path.relative_to(course.root)}   {len(records)} submissions, {waiting} to do")
    return worst
