"""The batch survives: a class of which a third attacks, and being killed at any moment.

A fixed sample; `SHARDWORK_ATTACKS=all` runs the whole: 60 submissions, 20 kills, and the reference
solutions of the course on a busy machine.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import secrets
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shardwork.sandbox import isolation
from tests.attacks import killing
from tests.attacks.course import copy_course
from tests.attacks.crowd import ASSIGNMENT, Crowd, flaws, harmed, make_crowd, size
from tests.attacks.detectors import findings
from tests.attacks.scene import Batch, Scene, open_scene, run_batch
from tests.attacks.steady import cores, grade_often

ALL = os.environ.get("SHARDWORK_ATTACKS") == "all"
SEED = 20261123
"""Of the class and its order, and of the moments. Another one: `SHARDWORK_ATTACKS_SEED`."""
SAMPLED_PLACES = ("records", "gradebook", "feedback")
WHY_NOT = isolation.problem()
pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(4 * 3600 if ALL else 900),
    pytest.mark.skipif(WHY_NOT is not None, reason=f"no sandbox: {WHY_NOT}"),
]


@pytest.fixture(scope="module")
def seed() -> int:
    return int(os.environ.get("SHARDWORK_ATTACKS_SEED", SEED))


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with open_scene() as made:
        yield made


@pytest.fixture(scope="module")
def crowd(seed: int) -> Crowd:
    return make_crowd(*size(), seed, sample=not ALL)


@pytest.fixture(scope="module")
def clean(scene: Scene, crowd: Crowd) -> Batch:
    """The same class without the attackers."""
    return run_batch(scene, ASSIGNMENT, crowd.honest, controls=False)


def test_a_third_of_the_class_attacks_and_nobody_else_is_harmed(
    scene: Scene, crowd: Crowd, clean: Batch
) -> None:
    batch = run_batch(scene, ASSIGNMENT, crowd.everyone, controls=False)
    found = list(flaws(batch))
    found += harmed(batch, clean, [one.student for one in crowd.honest])
    # What the attackers win for themselves is the other tests' business.
    whole = dataclasses.replace(batch, attacks=[])
    found += [f"{f.win.value} {f.what}" for f in findings(whole, controls=False)]
    about = f"seed {crowd.seed}, attackers {dict(crowd.ids)}:\n"
    assert not found, about + "\n".join(found)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda root, name: (root / f"records/plain/{name}.json").unlink(), "no record"),
        (lambda root, name: (root / f"records/plain/.{name}.tmp").touch(), "half-written"),
        (lambda root, name: (root / "records/plain/m-99.json").touch(), "a record of nobody"),
        (lambda root, name: cut(root / f"feedback/{name}/plain/plain.html"), "no whole page"),
        (lambda root, name: change_gradebook(root, "UPDATE grade SET auto_score = 1.5"),
         "in the gradebook"),
        (lambda root, name: change_gradebook(root, "DELETE FROM grade"), "None in the gradebook"),
    ],
)  # fmt: skip
def test_what_is_not_as_it_must_be_is_found(
    clean: Batch, crowd: Crowd, damage: Callable[[Path, str], object], told: str
) -> None:
    course = copy_course(clean.course, clean.scene.folder / f"d{secrets.token_hex(3)}")
    batch = dataclasses.replace(clean, course=course)
    assert list(flaws(batch)) == []
    damage(course.root, crowd.honest[0].student)
    assert any(told in flaw for flaw in flaws(batch))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def change_gradebook(root: Path, sql: str) -> None:
    with contextlib.closing(sqlite3.connect(root / "gradebook.db")) as connection, connection:
        connection.execute(sql)


def test_the_honest_are_graded_as_they_should_be_to_begin_with(clean: Batch, crowd: Crowd) -> None:
    assert list(flaws(clean)) == []
    # By hand: `course.POINTS`, and what `scene.CONTROLS` answers right. `tell` is not counted.
    due = {"right": 15.0, "noisy": 15.0, "procs": 15.0, "slow": 15.0, "part": 6.0, "wrong": 0.0}
    kinds = {one.student: one.title.partition("-")[2] for one in crowd.honest}
    wrong = {
        f"{student} ({kind}): {clean.points(student)}"
        for student, kind in kinds.items()
        if kind in due and clean.points(student) != due[kind]
    }
    assert not wrong


def test_a_killed_batch_goes_on_where_it_stopped(scene: Scene, seed: int) -> None:
    students, times, places = (9, 20, killing.PLACES) if ALL else (2, 3, SAMPLED_PLACES)
    tally = killing.kill_often(scene, students, times, seed, places)
    assert not tally.found, f"seed {seed}:\n" + "\n".join(tally.found)
    assert len(tally.hits) == times, [str(moment) for moment in tally.missed]


@pytest.mark.skipif(not ALL, reason="SHARDWORK_ATTACKS=all runs it")
@pytest.mark.parametrize("name", ["ch3_dask", "ch4_training"])
def test_right_work_gets_full_points_on_a_busy_machine(name: str) -> None:
    (tally,) = grade_often([name], times=6, burners=cores())
    assert not tally.lost, "\n".join([str(tally), *tally.lost])
    assert tally.full == tally.graded >= 6


def test_moments_are_drawn_from_every_place_and_can_be_drawn_again() -> None:
    changes = Counter(dict.fromkeys(killing.PLACES, 100))
    first = list(itertools.islice(killing.chains(1, changes), 8))
    assert first == list(itertools.islice(killing.chains(1, changes), 8))
    drawn = [moment for chain in first for moment in chain]
    assert {moment.place for moment in drawn} == set(killing.PLACES)
    assert {moment.number for moment in drawn} > {signal.SIGKILL}
    assert {moment.victim for moment in drawn} & set(killing.CHILDREN)
