"""The detectors: what each kind of win looks like after a batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from shardwork.record import Record
from tests.attacks.course import LIMITS, budget_s
from tests.attacks.kit import Attack, Win
from tests.attacks.scene import Batch, Seen, clean_batch, controls_of, escaped, victim_of
from tests.attacks.tokens import search

MARGIN = 1e-9
MAX_DESCRIPTORS = 50_000  # far below what the kernel has for all (fs.file-max)
MAX_DISK_BYTES = 1 << 30
MAX_INODES = 100_000
MAX_PAGE_BYTES = 1 << 20


@dataclass(frozen=True)
class Finding:
    """A win, or what looks like one. `attack` is "" where a batch does not tell whose it is."""

    attack: str
    win: Win
    what: str


def findings(batch: Batch, *, controls: bool = True) -> list[Finding]:
    """Return every win in a batch. `controls` compares them with a clean run."""
    found: list[Finding] = []
    for attack in batch.attacks:
        found += [Finding(attack.id, win, what) for win, what in _of_attack(batch, attack)]
    found += [_attributed(batch, win, what) for win, what in _of_batch(batch)]
    if controls:
        found += [_attributed(batch, win, what) for win, what in _controls(batch)]
    return list(dict.fromkeys(found))


def _of_attack(batch: Batch, attack: Attack) -> Iterator[tuple[Win, str]]:
    mine = [attack.student, *(victim_of(attack, suffix) for suffix in attack.victims)]
    record = batch.record(attack.student)
    yield from _score(batch, attack)
    most_s = attack.budget_s or budget_s(attack.assignment)
    for student in mine:
        own = batch.record(student)
        if own is None and student.encode() not in batch.console:
            yield Win.BATCH, f"{student} has no record and no reason"
        if own is not None and own.timing.total_s > most_s:
            yield Win.STALL, f"{student} took {own.timing.total_s:.0f} s"
        yield from _tokens(batch, student, own)
    if (
        record is not None
        and attack.detect is None
        and len(batch.page(attack.student)) > (MAX_PAGE_BYTES)
    ):
        yield Win.RES, f"a page of {len(batch.page(attack.student))} bytes"
    if attack.detect is not None:
        yield from attack.detect(Seen(batch, attack))


def _score(batch: Batch, attack: Attack) -> Iterator[tuple[Win, str]]:
    twin = batch.record(batch.twins[attack.id])
    honest = batch.points(batch.twins[attack.id])
    points = batch.points(attack.student)
    if honest is None or twin is None or any(e.provisional for e in twin.exercises):
        why = "has no record" if twin is None else f"was not judged to the end {twin.reason}"
        yield Win.BATCH, f"the twin {batch.twins[attack.id]} {why}"
    elif points is not None and points > honest + MARGIN:
        yield Win.SCORE, f"{points:g} points; the honest twin has {honest:g}"


def _tokens(batch: Batch, student: str, record: Record | None) -> Iterator[tuple[Win, str]]:
    tokens = batch.scene.tokens
    secret = tokens.secret_from(student)
    if record is not None:
        # Everything that a sandbox said ends up in the record, in one field or another.
        told = search(msgspec.json.encode(record), secret)
        yield from ((Win.PROOF, f"{t.kind} ({form}) in the record") for t, form in told)
    for where, data in batch.shown(student).items():
        for token, form in search(data, [*secret, tokens.input]):
            yield Win.LEAK, f"{token.kind} ({form}) in {where}"


def _of_batch(batch: Batch) -> Iterator[tuple[Win, str]]:
    usage, limits = batch.usage, LIMITS[batch.assignment]
    if batch.status is None:
        yield Win.STALL, f"the batch had to be ended after {batch.seconds:.0f} s"
    elif batch.status not in (0, 1):
        yield Win.BATCH, f"exit status {batch.status}: {batch.console[-600:]!r}"
    jobs = 2
    bounds = {
        "memory_bytes": int(jobs * (limits["memory_mb"] << 20) * 1.5) + (2 << 30),
        "processes": jobs * 450 + 60,
        "descriptors": MAX_DESCRIPTORS,
        "disk_bytes": MAX_DISK_BYTES,
        "inodes": MAX_INODES,
    }
    for name, bound in bounds.items():
        if getattr(usage, name) > bound:
            yield Win.RES, f"{name} {getattr(usage, name):,} above {bound:,}"
    yield from ((Win.LEFT, what) for what in batch.remaining)
    for name in (*batch.changed, *escaped(batch.scene)):
        yield Win.ESC, f"changed: {name}"
    everything = [t for name in batch.scene.tokens.others for t in
                  batch.scene.tokens.secret_from(name)]  # fmt: skip
    for where, data in batch.heard:
        yield Win.ESC, f"reached the sink by {where}: {data[:80]!r}"
        for token, form in search(data, list(dict.fromkeys(everything))):
            yield Win.LEAK, f"{token.kind} ({form}) at the sink"


def _controls(batch: Batch) -> Iterator[tuple[Win, str]]:
    clean = clean_batch(batch.scene, batch.assignment)
    for student in controls_of(batch.assignment):
        if judgement(batch.record(student)) != judgement(clean.record(student)):
            yield Win.BATCH, f"the record of the control {student} is another"
        if batch.points(student) != clean.points(student):
            yield Win.BATCH, f"the points of the control {student} are others"
        if batch.page(student) != clean.page(student):
            yield Win.BATCH, f"the page of the control {student} is another"


def judgement(record: Record | None) -> object:
    """Return a record without what differs between two runs of the same submission."""
    if record is None:
        return None
    plain = msgspec.to_builtins(record)
    for name in ("graded_at", "timing", "versions", "submission_digest"):
        plain.pop(name)
    for exercise in plain["exercises"]:
        exercise.pop("key")
        for check in exercise["checks"]:
            check.pop("seconds")
    return plain


def _attributed(batch: Batch, win: Win, what: str) -> Finding:
    """Name the attack whose mark is in the text; the mark holds the student's name."""
    for attack in batch.attacks:
        names = [attack.student, *(victim_of(attack, suffix) for suffix in attack.victims)]
        if any(batch.scene.mark_of(name) in what for name in names):
            return Finding(attack.id, win, what)
    whose = batch.attacks[0].id if len(batch.attacks) == 1 else ""
    return Finding(whose, win, what)
