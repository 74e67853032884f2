"""`shardwork release`: compile the student notebooks, or say whether they are up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shardwork.command import current_course
from shardwork.course import Assignment, Course, Track
from shardwork.errors import CourseError, ExitCode, NothingMatched, ShardworkError

if TYPE_CHECKING:
    from shardwork.catalogue import Counts


@click.command()
@click.argument("assignments", nargs=-1, metavar="[ASSIGNMENT]...")
@click.option(
    "--language", "languages", multiple=True, metavar="LANG", help="Only this language; repeatable."
)
@click.option(
    "--track",
    "track_name",
    type=click.Choice([t.value for t in Track]),
    help="`core` releases the core exercises only. Default: what course_config.py says.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Write nothing; list the files of release/ that are out of date and exit with 1 if any.",
)
def command(
    assignments: tuple[str, ...], languages: tuple[str, ...], track_name: str | None, check: bool
) -> ExitCode:
    """Compile the student notebooks of the ASSIGNMENTs (default: all) into release/.

    For every translation it says how many texts are translated, missing (students read English)
    and outdated. A release that gives a solution or a grader away is refused. What is released is
    what is graded afterwards: a class that was given the core track is graded on it.
    """
    course = current_course()
    names = assignments or tuple(a.name for a in course.config.assignments)
    for name in names:
        course.whole(name)
    track = Track(track_name) if track_name else None
    chosen = languages or course.config.languages
    unknown = [language for language in chosen if language not in course.config.languages]
    if unknown:
        known = ", ".join(course.config.languages)
        raise NothingMatched(f"The course has no language {unknown[0]!r}; it has: {known}.")
    worst = ExitCode.DONE
    for name in names:
        try:
            outcome = release_assignment(course, name, chosen, check, track)
        except ShardworkError as error:
            # One chapter that cannot be compiled leaves its old release, and the others go on.
            click.echo(f"Error: {name}: {error}", err=True)
            outcome = error.exit_code
        worst = outcome if worst is ExitCode.DONE else worst
    return worst


def release_assignment(
    course: Course,
    assignment: str,
    languages: tuple[str, ...],
    check: bool,
    asked: Track | None = None,
) -> ExitCode:
    """Compile one assignment; write it only if every language of it is fit to be written.

    `asked` is the track that was named on the command line, if any.
    """
    from shardwork.leaks import collect_secrets, find_leaks
    from shardwork.release import compile_release, differing_files, write_release

    track = asked or course.config.track
    if not check:
        _reject_change_of_track(course, assignment, languages, track, asked is not None)
    compiled = [compile_release(course, assignment, language, track) for language in languages]
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
    if not check:
        click.echo(f"{assignment}   {_size(course.whole(assignment), track)}")
    return outcome


def _reject_change_of_track(
    course: Course, assignment: str, languages: tuple[str, ...], track: Track, is_meant: bool
) -> None:
    """Refuse to change by the way what a class is graded on, or to do so in one language only."""
    from shardwork.ingest import students_of

    before = course.track(assignment)
    if before is track:
        return
    others = [
        language
        for language in course.config.languages
        if language not in languages and (course.release / language / assignment).is_dir()
    ]
    if others:
        raise CourseError(
            f"release/{others[0]}/{assignment} holds the {before.value} track. Release all "
            "languages together."
        )
    if not is_meant and students_of(course, course.whole(assignment)):
        raise CourseError(
            f"the {before.value} track is released, and students have handed it in. Say "
            f"`--track {before.value}` to release it again, or `--track {track.value}` if they are "
            "to be graded on that one."
        )


def _size(whole: Assignment, released: Track) -> str:
    """Say what each track asks of a student."""
    said = []
    for track in Track:
        part = whole.of_track(track)
        counts = f"exercises {len(part.exercises)}, written questions {len(part.written)}"
        mark = " (released)" if track is released else ""
        said.append(f"{track.value}{mark}: {counts}, {part.minutes} minutes")
    return "; ".join(said)


def _told(counts: Counts | None) -> str:
    if counts is None:
        return ""
    return (
        f"   {counts.translated} translated, {counts.missing} missing, {counts.outdated} outdated"
    )
