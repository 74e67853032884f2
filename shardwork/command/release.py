"""`shardwork release`: compile the student notebooks, or say whether they are up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shardwork.command import current_course
from shardwork.course import Course
from shardwork.errors import ExitCode, NothingMatched, ShardworkError

if TYPE_CHECKING:
    from shardwork.catalogue import Counts


@click.command()
@click.argument("assignments", nargs=-1, metavar="[ASSIGNMENT]...")
@click.option(
    "--language", "languages", multiple=True, metavar="LANG", help="Only this language; repeatable."
)
@click.option(
    "--check",
    is_flag=True,
    help="Write nothing; list the files of release/ that are out of date and exit with 1 if any.",
)
def command(assignments: tuple[str, ...], languages: tuple[str, ...], check: bool) -> ExitCode:
    """Compile the student notebooks of the ASSIGNMENTs (default: all) into release/.

    For every translation it says how many texts are translated, missing (students read English)
    and outdated. A release that gives a solution or a grader away is refused.
    """
    course = current_course()
    names = assignments or tuple(a.name for a in course.config.assignments)
    for name in names:
        course.assignment(name)
    chosen = languages or course.config.languages
    unknown = [language for language in chosen if language not in course.config.languages]
    if unknown:
        known = ", ".join(course.config.languages)
        raise NothingMatched(f"The course has no language {unknown[0]!r}; it has: {known}.")
    worst = ExitCode.DONE
    for name in names:
        try:
            outcome = release_assignment(course, name, chosen, check)
        except ShardworkError as error:
            # One chapter that cannot be compiled leaves its old release, and the others go on.
            click.echo(f"Error: {name}: {error}", err=True)
            outcome = error.exit_code
        worst = outcome if worst is ExitCode.DONE else worst
    return worst


def release_assignment(
    course: Course, assignment: str, languages: tuple[str, ...], check: bool
) -> ExitCode:
    """Compile one assignment; write it only if every language of it is fit to be written."""
    from shardwork.leaks import collect_secrets, find_leaks
    from shardwork.release import compile_release, differing_files, write_release

    compiled = [compile_release(course, assignment, language) for language in languages]
    secrets = collect_secrets(course, assignment)
    leaks = [(c.language, leak) for c in compiled for leak in find_leaks(secrets, c.files)]
    for language, leak in leaks:
        click.echo(f"Leak: release/{language}/{assignment}/{leak}", err=True)
    if leaks:
        click.echo(
            f"Error: {assignment}: not released, because it would give away what is hidden. Change "
            "the places above in source/, and release again.",
            err=True,
        )
        return ExitCode.FINDINGS
    outcome = ExitCode.DONE
    for release in compiled:
        if check:
            differing = differing_files(course, release)
            state = "out of date" if differing else "up to date"
            outcome = ExitCode.FINDINGS if differing else outcome
        else:
            differing = []
            state = "written" if write_release(course, release) else "unchanged"
        click.echo(f"{assignment}   {release.language}   {state}{_told(release.counts)}")
        for name in differing:
            click.echo(f"  {name}")
    return outcome


def _told(counts: Counts | None) -> str:
    if counts is None:
        return ""
    return (
        f"   {counts.translated} translated, {counts.missing} missing, {counts.outdated} outdated"
    )
