"""The real assignments on their real frameworks: a sample of the mutation matrix, with one seed.

`shardwork verify --seeds 10` (`make verify`) is the whole of it.
"""

from __future__ import annotations

import functools
import random
from pathlib import Path

import pytest

from shardwork.batch import default_jobs
from shardwork.course import Isolation, load_course
from shardwork.errors import MachineError
from shardwork.java import find_java
from shardwork.sandbox import isolation
from shardwork.verify import Kind, Matrix, missing_parts, solutions_of, verify

WHY_NOT = isolation.problem()
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(WHY_NOT is not None, reason=f"bubblewrap: {WHY_NOT}"),
    pytest.mark.usefixtures("no_leaks"),
]

COURSE = load_course(Path(__file__).resolve().parents[2])
EXERCISES = [(a.name, e.name) for a in COURSE.config.assignments for e in a.exercises]
SEED = 4_001
"""One that no development run has used."""


def test_the_course_has_the_three_exercises_of_the_first_light() -> None:
    assert {("ch2_spark", "key_stats"), ("ch3_dask", "tree"), ("ch4_training", "dp_grads")} <= set(
        EXERCISES
    )


@pytest.mark.parametrize(("assignment", "exercise"), EXERCISES)
def test_every_exercise_has_all_that_is_needed_to_prove_it(assignment: str, exercise: str) -> None:
    chosen = COURSE.assignment(assignment)
    assert missing_parts(COURSE, chosen, exercise) == []


def sampled_mutants(assignment: str, exercise: str) -> list[str]:
    """Two of an exercise; which ones is drawn, the same every time."""
    solutions = solutions_of(COURSE, assignment, exercise)
    mutants = [solution.name for solution in solutions if solution.kind is Kind.MUTANT]
    return random.Random(f"{SEED} {exercise}").sample(mutants, 2)


@functools.cache
def sample(assignment: str) -> Matrix:
    """Judge the sample of a whole assignment at once: its zygote and graders are loaded once."""
    chosen = COURSE.assignment(assignment)
    if chosen.cluster.spark_master is not None:
        try:
            find_java()
        except MachineError as error:
            pytest.skip(str(error))
    mutants = [code for e in chosen.exercises for code in sampled_mutants(assignment, e.name)]
    return verify(
        COURSE, chosen, chosen.exercises, [SEED], Isolation.BUBBLEWRAP,
        jobs=default_jobs(chosen), only=["reference", "starter", *mutants],
    )  # fmt: skip


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("assignment", "exercise"), EXERCISES)
def test_the_reference_has_all_points_the_starter_none_and_a_mutant_its_name(
    assignment: str, exercise: str
) -> None:
    mutants = sampled_mutants(assignment, exercise)
    rows = {row.name: row for row in sample(assignment).rows if row.exercise == exercise}
    assert set(rows) >= {"reference", "starter", *mutants}
    wrong = {
        name: row.problem or tuple(cell.wrong for cell in row.cells) for name, row in rows.items()
    }
    assert wrong == dict.fromkeys(rows, (None,))
    full = COURSE.assignment(assignment).exercise(exercise).points
    assert rows["reference"].cells[0].points == full
    assert rows["starter"].cells[0].points == 0
    for code in mutants:
        assert rows[code].cells[0].codes == (code,)
        assert rows[code].cells[0].points < full
