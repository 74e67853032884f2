"""`shardwork grade`: grade what was handed in."""

from __future__ import annotations

import sys

import click

from shardwork.command import current_course
from shardwork.course import Isolation
from shardwork.errors import ExitCode


@click.command(name="grade")
@click.argument("assignments", nargs=-1, metavar="[ASSIGNMENT]...")
@click.option("--student", "students", multiple=True, metavar="NAME", help="Only this student.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    help="Submissions at the same time. Default: what cores and memory allow.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    help="Root of the random inputs. Default: the assignment's.",
)
@click.option(
    "--isolation",
    type=click.Choice([i.value for i in Isolation]),
    help="Default: what course_config.py says. `none` runs student code unprotected.",
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    default="",
    help="Judge on the workers of a Dask scheduler, such as tcp://10.0.0.1:8786.",
)
@click.option("--force", is_flag=True, help="Judge everything again, changed or not.")
@click.option("--dry-run", is_flag=True, help="Say what would be graded, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON (docs/json.md).")
def command(
    assignments: tuple[str, ...],
    students: tuple[str, ...],
    jobs: int | None,
    seed: int | None,
    isolation: str | None,
    scheduler: str,
    force: bool,
    dry_run: bool,
    as_json: bool,
) -> ExitCode:
    """Grade what was handed in: records, gradebook, feedback pages and class report.

    Unchanged work is not judged again. Ctrl-C stops and keeps what is done; the same command goes
    on from there. Exit status 1 if a submission could not be judged.
    """
    from shardwork import batch
    from shardwork.classtable import encode, print_class
    from shardwork.ingest import students_of
    from shardwork.plaintext import plain_line
    from shardwork.progress import grade_with_progress

    course = current_course()
    chosen = [course.assignment(name) for name in assignments]
    chosen = chosen or [a for a in course.config.assignments if students_of(course, a)]
    if not chosen:
        chosen = list(course.config.assignments[:1])  # says where a notebook belongs
    level = Isolation(isolation) if isolation else course.config.isolation
    if dry_run:
        for assignment in chosen:
            for name in students or students_of(course, assignment):
                click.echo(f"{assignment.name}/{plain_line(name, 200)}")
        return ExitCode.DONE
    findings = False
    for assignment in chosen:
        settings = batch.Settings(
            level, jobs or batch.default_jobs(assignment), seed, force, scheduler
        )
        outcome = grade_with_progress(course, assignment, settings, students)
        findings |= outcome.needs_attention
        if as_json:
            sys.stdout.write(encode(outcome) + "\n")
        else:
            print_class(course, outcome)
    return ExitCode.FINDINGS if findings else ExitCode.DONE
