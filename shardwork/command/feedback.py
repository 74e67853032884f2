"""`shardwork feedback`: write the feedback pages from what is on record."""

from __future__ import annotations

import click

from shardwork.command import current_course
from shardwork.course import Course
from shardwork.errors import ExitCode, NothingMatched, ShardworkError
from shardwork.record import Record


@click.command()
@click.argument("assignments", nargs=-1, metavar="[ASSIGNMENT]...")
@click.option(
    "--student", "students", multiple=True, metavar="NAME", help="Only this student; repeatable."
)
def command(assignments: tuple[str, ...], students: tuple[str, ...]) -> ExitCode:
    """Write a feedback page for each graded submission of the ASSIGNMENTs (default: all).

    A page is in the student's language and has what was entered in formgrader in it. Grades
    nothing: run `shardwork grade` first.
    """
    course = current_course()
    chosen = chosen_records(course, assignments, students)
    from shardwork.feedback import write_feedback

    worst = ExitCode.DONE
    for name, records in chosen.items():
        try:
            paths = write_feedback(course, name, records)
        except ShardworkError as error:
            click.echo(f"Error: {name}: {error}", err=True)  # the other assignments go on
            worst = error.exit_code if worst is ExitCode.DONE else worst
            continue
        for path in paths:
            click.echo(path.relative_to(course.root))
    return worst


def chosen_records(
    course: Course, assignments: tuple[str, ...], students: tuple[str, ...] = ()
) -> dict[str, list[Record]]:
    """Return the records that the command line names, by assignment, leaving out empty ones.

    Raises NothingMatched if an assignment is unknown, a student has no record in any of them, or
    there is no record at all.
    """
    from shardwork.recordfile import read_records

    names = assignments or tuple(a.name for a in course.config.assignments)
    chosen: dict[str, list[Record]] = {}
    for name in dict.fromkeys(names):
        course.assignment(name)
        records = [r for r in read_records(course, name) if not students or r.student in students]
        if records:
            chosen[name] = records
    found = {record.student for records in chosen.values() for record in records}
    unknown = [student for student in students if student not in found]
    where = ", ".join(names)
    if unknown:
        raise NothingMatched(
            f"No record of {', '.join(map(repr, unknown))} in {where}. Check the name against "
            "submitted/, or run `shardwork grade` first."
        )
    if not chosen:
        raise NothingMatched(f"Nothing is on record for {where}. Run `shardwork grade` first.")
    return chosen
