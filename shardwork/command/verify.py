"""`shardwork verify`: prove the graders."""

from __future__ import annotations

import os
import sys

import click

from shardwork.command import current_course
from shardwork.course import Course, Isolation
from shardwork.errors import ExitCode, NothingMatched

DEFAULT_SEEDS = 3


@click.command(name="verify")
@click.argument("assignments", nargs=-1, metavar="[ASSIGNMENT[/EXERCISE]]...")
@click.option(
    "--seeds",
    default=DEFAULT_SEEDS,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="How many seeds to judge every solution with.",
)
@click.option(
    "--first-seed",
    default=1,
    show_default=True,
    type=click.IntRange(0),
    help="The first of them; the others follow.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help="Only this solution: `reference`, `starter`, `alternate_...` or a code.",
)
@click.option(
    "--jobs", type=click.IntRange(1, 64), help="Judges at the same time. Default: the cores."
)
@click.option(
    "--isolation",
    type=click.Choice([i.value for i in Isolation]),
    help="Default: what course_config.py says.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the matrix as JSON (docs/json.md).")
def command(
    assignments: tuple[str, ...],
    seeds: int,
    first_seed: int,
    only: tuple[str, ...],
    jobs: int | None,
    isolation: str | None,
    as_json: bool,
) -> ExitCode:
    """Prove the graders against right and wrong solutions: the mutation matrix.

    The reference and every alternate must earn all points, the starter none, and every mutant must
    be reported with exactly its own code, for every seed. Exit status 1 if anything differs.
    """
    import msgspec
    from rich.console import Console

    from shardwork import verify as verifying
    from shardwork.console import result_console
    from shardwork.matrix import print_matrix
    from shardwork.sandbox.isolation import level as reachable_level

    course = current_course()
    level = Isolation(isolation) if isolation else course.config.isolation
    reachable_level(level)
    progress = Console(stderr=True)

    def told(row: verifying.Row) -> None:
        judged = "as it should be" if row.clean else "NOT as it should be"
        progress.print(f"{row.assignment}/{row.exercise} {row.name}: {judged}", highlight=False)

    rows: list[verifying.Row] = []
    missing: list[str] = []
    for name, exercises in _chosen(course, assignments):
        assignment = course.whole(name)
        matrix = verifying.verify(
            course,
            assignment,
            [assignment.exercise(e) for e in exercises],
            range(first_seed, first_seed + seeds),
            level,
            jobs=jobs or os.cpu_count() or 1,
            only=only,
            done=told,
        )
        rows += matrix.rows
        missing += matrix.missing
    whole = verifying.Matrix(tuple(rows), tuple(missing))
    if not rows and (only or not missing):
        raise NothingMatched("No solution has the name given with --only.")
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(whole), indent=1).decode() + "\n")
    else:
        print_matrix(whole, result_console())
    return ExitCode.DONE if whole.clean else ExitCode.FINDINGS


def _chosen(course: Course, names: tuple[str, ...]) -> list[tuple[str, list[str]]]:
    """Resolve `ch2_spark` and `ch2_spark/key_stats`; all assignments if nothing is named."""
    wanted = names or tuple(a.name for a in course.config.assignments)
    chosen = []
    for word in wanted:
        name, _, exercise = word.partition("/")
        assignment = course.whole(name)
        known = [e.name for e in assignment.exercises]
        if exercise and exercise not in known:
            raise NothingMatched(
                f"{name} has no exercise {exercise!r}; it has: {', '.join(known)}."
            )
        chosen.append((name, [exercise] if exercise else known))
    return chosen
