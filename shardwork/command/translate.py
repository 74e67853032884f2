"""`shardwork translate`: bring the catalogues of translators up to date with the English texts."""

from __future__ import annotations

import click

from shardwork.command import current_course
from shardwork.errors import ExitCode, NothingMatched


@click.command()
@click.argument("assignments", nargs=-1, metavar="[ASSIGNMENT]...")
@click.option(
    "--language",
    "languages",
    multiple=True,
    metavar="LANG",
    help="Only this language; repeatable. Default: every one but the source's.",
)
@click.option("--dry-run", is_flag=True, help="Write nothing; only count.")
def command(assignments: tuple[str, ...], languages: tuple[str, ...], dry_run: bool) -> ExitCode:
    """Bring locale/LANG/LC_MESSAGES/ASSIGNMENT.po up to date with the English texts.

    New texts are added, texts that are gone are kept as obsolete, translations are never lost.
    """
    from shardwork.catalogue import catalogue_path, count, extract, load_catalogue, update_catalogue

    course = current_course()
    first, *others = course.config.languages
    for language in languages:
        if language not in others:
            raise NothingMatched(
                f"The course is not translated into {language!r}. It is written in {first!r} and "
                f"translated into: {', '.join(others) or 'no other language'}."
            )
    names = assignments or tuple(a.name for a in course.config.assignments)
    for name in names:
        course.whole(name)
    for name in names:
        for language in languages or others:
            if dry_run:
                counts = count(extract(course, name), load_catalogue(course, language, name))
            else:
                counts = update_catalogue(course, name, language)
            path = catalogue_path(course, language, name).relative_to(course.root)
            click.echo(
                f"{path}   {counts.translated} translated, {counts.missing} missing, "
                f"{counts.outdated} outdated"
            )
    return ExitCode.DONE
