"""`shardwork demo`: the whole path, once, on a made-up class."""

from __future__ import annotations

import click

from shardwork.command import current_course
from shardwork.errors import ExitCode


@click.command(name="demo")
@click.argument("assignments", nargs=-1, metavar="[ASSIGNMENT]...")
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    help="Submissions at the same time. Default: what cores and memory allow.",
)
@click.option("--force", is_flag=True, help="Start with an empty class: judge everything again.")
def command(assignments: tuple[str, ...], jobs: int | None, force: bool) -> ExitCode:
    """Release, make a class, grade it and hand it back, in build/demo.

    The class holds right, wrong and unruly submissions. Exit status 1 if one of them is not judged
    as it should be.
    """
    from shardwork import batch
    from shardwork.classroom import hand_in, make_class
    from shardwork.classtable import named, print_class
    from shardwork.command.release import release_assignment
    from shardwork.demo import demo_course
    from shardwork.progress import grade_with_progress
    from shardwork.sandbox.isolation import level as reachable_level

    reachable_level(current_course().config.isolation)
    course = demo_course(current_course(), force=force)
    surprises: list[str] = []
    for name in assignments or tuple(a.name for a in course.config.assignments):
        outcome = release_assignment(
            course, name, course.config.languages, check=False, asked=course.config.track
        )
        if outcome is not ExitCode.DONE:
            return outcome
        assignment = course.assignment(name)
        pupils = make_class(course, assignment)
        changed = hand_in(course, assignment, pupils)
        click.echo(
            f"{name}   {len(pupils)} submissions, {changed} of them new or changed", err=True
        )
        settings = batch.Settings(course.config.isolation, jobs or batch.default_jobs(assignment))
        graded = grade_with_progress(course, assignment, settings)
        print_class(course, graded, {pupil.name: pupil.handed_in for pupil in pupils})
        found = {one.student: one for one in graded.graded}
        for pupil in pupils:
            record = found[pupil.name].record
            full = record is not None and record.points == record.max_points
            codes = record.codes if record is not None else ()
            if full != pupil.full or codes != pupil.codes:
                surprises.append(
                    f"{name}/{pupil.name} ({pupil.handed_in}): {named(found[pupil.name])}"
                )
        surprises += graded.handed_back.problems
    for surprise in surprises:
        click.echo(f"Not as it should be: {surprise}", err=True)
    return ExitCode.FINDINGS if surprises else ExitCode.DONE
