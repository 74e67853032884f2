"""A class of which a third attacks, in random order, and what must be true after any batch."""

from __future__ import annotations

import dataclasses
import itertools
import os
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from shardwork.record import Record
from tests.attacks.corpus import load
from tests.attacks.kit import Attack, Submission
from tests.attacks.scene import CONTROLS, Batch
from tests.attacks.suite import missing

ASSIGNMENT = "plain"
BROKEN = Submission(raw=b'{"cells": [{"cell_type": "code", "source": "1 +')
HONEST_KINDS: Mapping[str, Submission] = CONTROLS | {"broken": BROKEN}
"""What students hand in who mean no harm: the controls of every batch, and half a file."""


@dataclasses.dataclass(frozen=True)
class Crowd:
    """A class in the order in which it is graded; `seed` makes it again."""

    seed: int
    honest: tuple[Attack, ...]
    attackers: tuple[Attack, ...]
    ids: Mapping[str, str]
    """The attack that each attacker commits, by name of the student."""

    @property
    def everyone(self) -> list[Attack]:
        return sorted([*self.honest, *self.attackers], key=lambda one: one.id)


def make_crowd(count: int, attackers: int, seed: int, *, sample: bool) -> Crowd:
    """Draw a class of `count` submissions. `sample` takes attacks of the suite's sample only.

    The groups of attacks take turns. Places in the class, and so the order of grading, are drawn.
    """
    draw = random.Random(seed)
    places = [f"{number:02d}" for number in range(count)]
    draw.shuffle(places)
    attacking = []
    for place, attack in zip(places, itertools.islice(_drawn(draw, sample), attackers),
                             strict=False):  # fmt: skip
        attacking.append((attack.id, _at(place, attack)))
    kinds = itertools.cycle(HONEST_KINDS.items())
    honest = [Attack(place, kind, set(), submission)
              for place, (kind, submission) in zip(places[attackers:], kinds,
                                                   strict=False)]  # fmt: skip
    ids = {one.student: name for name, one in attacking}
    return Crowd(seed, tuple(honest), tuple(one for _, one in attacking), ids)


def _at(place: str, attack: Attack) -> Attack:
    """Return the attack as one submission at a place in a class, without what only it looks at."""
    return dataclasses.replace(
        attack, id=place, twin=Submission(), victims={}, detect=None, alone=False
    )


def _drawn(draw: random.Random, sample: bool) -> Iterator[Attack]:
    """Yield attacks on the cheap assignment in random order, from each group in turn."""
    groups = defaultdict(list)
    for attack in load():
        cheap = attack.assignment == ASSIGNMENT and not attack.alone
        if cheap and (attack.sample or not sample) and not missing(attack):
            groups[attack.group].append(attack)
    for attacks in groups.values():
        draw.shuffle(attacks)
    for turn in itertools.zip_longest(*groups.values()):
        yield from (attack for attack in turn if attack is not None)


def students_of(batch: Batch) -> list[str]:
    """Return everybody who has handed in."""
    return sorted(path.parent.name for path in batch.course.submitted.glob(f"*/{batch.assignment}"))


def flaws(batch: Batch) -> Iterator[str]:
    """Yield what is not as it must be after a batch that came to its end.

    Every submission has one record or a reason, the gradebook has the points of the records, once
    each, all pages are there, nothing is half-written, and the exit status says what docs/ta.md
    promises.
    """
    records = {student: batch.record(student) for student in students_of(batch)}
    said = batch.console.decode("utf-8", "replace")
    for student, record in records.items():
        if record is None:
            if not any(line.startswith("not graded: ") and student in line
                       for line in said.splitlines()):  # fmt: skip
                yield f"{student} has no record and no reason"
            continue
        if record.status != "graded" and not record.reason:
            yield f"{student} is {record.status} without a reason"
        page = batch.page(student)
        if not page.rstrip().endswith(b"</html>"):
            yield f"{student} has no whole page: {page[-80:]!r}"
    yield from _of_gradebook(batch, records)
    yield from (f"half-written: {path}" for path in half_written(batch.course.root))
    folder = batch.course.records / batch.assignment
    strangers = {path.stem for path in folder.glob("*.json")} - set(records)
    yield from (f"a record of nobody: {name}" for name in sorted(strangers))
    waits = any(record is None or record.needs_attention for record in records.values())
    if batch.status != int(waits):
        yield f"exit status {batch.status}, and not {int(waits)}: {said[-1500:]}"


def half_written(root: Path) -> list[str]:
    """Return files beside the results that no whole writing leaves."""
    return sorted(
        str(path.relative_to(root))
        for place in ("records", "gradebook.db*", ".gradebook*", "autograded", "feedback", "report")
        for top in root.glob(place)
        for path in (top, *top.rglob("*"))
        if path.name.startswith(".") or path.name.endswith((".tmp", "-journal", "-wal"))
    )


def _of_gradebook(batch: Batch, records: Mapping[str, Record | None]) -> Iterator[str]:
    if batch.query("PRAGMA integrity_check") != [("ok",)]:
        yield "the gradebook is damaged"
    rows = batch.query(
        "SELECT s.student_id, b.name, g.auto_score FROM submitted_assignment s "
        "JOIN assignment a ON a.id = s.assignment_id "
        "LEFT JOIN submitted_notebook n ON n.assignment_id = s.id "
        "LEFT JOIN grade g ON g.notebook_id = n.id "
        "LEFT JOIN base_cell b ON b.id = g.cell_id WHERE a.name = ?", batch.assignment,
    )  # fmt: skip
    entered: dict[str, dict[str, object]] = defaultdict(dict)
    for (student, cell), times in Counter((row[0], row[1]) for row in rows).items():
        if times != 1:
            yield f"{student}/{cell} stands {times} times in the gradebook"
    for student, cell, points in rows:
        entered[str(student)][str(cell)] = points
    for student, record in records.items():
        if record is None:
            continue
        due: dict[str, float] = {f"test_{e.name}": e.points for e in record.exercises}
        if record.status == "refused":  # nothing of it is on record, and nothing is earned
            exercises = batch.course.assignment(batch.assignment).exercises
            due = {f"test_{e.name}": 0.0 for e in exercises}
        found = entered.get(student, {})
        for cell, points in due.items():
            if found.get(cell) != points:
                yield f"{student}/{cell}: {points} on record, {found.get(cell)} in the gradebook"
    yield from (f"{name} is in the gradebook without a record"
                for name in sorted(set(entered) - set(records)))  # fmt: skip


def harmed(batch: Batch, clean: Batch, students: Sequence[str]) -> Iterator[str]:
    """Yield each of `students` to whom something else happened than in the other batch."""
    from tests.attacks.detectors import judgement

    for student in students:
        if judgement(batch.record(student)) != judgement(clean.record(student)):
            yield f"the record of {student} is another: {_difference(batch, clean, student)}"
        if batch.gradebook(student) != clean.gradebook(student):
            yield f"the points of {student} are others"
        if batch.page(student) != clean.page(student):
            yield f"the page of {student} is another"


def _difference(batch: Batch, clean: Batch, student: str) -> str:
    one, other = batch.record(student), clean.record(student)
    if one is None or other is None:
        return f"{one is None=} {other is None=}"
    if one.reason != other.reason or one.status != other.status:
        return f"{other.status} {other.reason!r} became {one.status} {one.reason!r}"
    pairs = zip(one.exercises, other.exercises, strict=False)
    return "; ".join(
        f"{e.name}: {o.points:g} became {e.points:g} points, {[c.detail for c in e.checks]}"
        for e, o in pairs if e.points != o.points
    ) or _other_fields(one, other)  # fmt: skip


def _other_fields(one: Record, other: Record) -> str:
    """Say in which fields two records differ that earn the same."""
    from tests.attacks.detectors import judgement

    found, known = judgement(one), judgement(other)
    assert isinstance(found, dict)
    assert isinstance(known, dict)
    return "; ".join(
        f"{name}: {str(known[name])[:300]} became {str(found[name])[:300]}"
        for name in found
        if found[name] != known[name]
    )


def size() -> tuple[int, int]:
    """Return how many submissions, and how many of them attack: a sample, or all."""
    return (60, 20) if os.environ.get("SHARDWORK_ATTACKS") == "all" else (9, 3)
