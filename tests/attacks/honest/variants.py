"""The variants, and what is held against each of them after a batch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shardwork.record import Record, Verdict
from tests.attacks.course import POINTS, RIGHT
from tests.attacks.honest.files import EDITS
from tests.attacks.honest.snippets import Snippet, read_snippets
from tests.attacks.kit import Attack, Submission
from tests.attacks.scene import Batch, Scene, run_batch

PLAIN_VARIANTS = 170
BATCH_SIZE = 60
HABITS = ("prints", "complaints", "threads", "resources", "libraries", "system", "language")
SAMPLE = (
    "prints Unicode",
    "logs to stderr",
    "leaves a thread printing",
    "uses spawned processes",
    "awaits at top level",
    "makes arrays of 400 MB",
    "prints twenty megabytes",
    "leaves a process running",
    "shows data frames",
    "uses shell magics",
    "writes a helper module and imports it",
    "asks for input in a scratch cell",
    "saved by Colab without cell ids",
)
"""The habits that `make test` runs, each with one base."""


@dataclass(frozen=True)
class Variant:
    """One right submission. `raises` cells of it end with an exception."""

    name: str
    assignment: str
    submission: Submission
    raises: int = 0
    sample: bool = False


def variants() -> list[Variant]:
    """Return all variants: each habit with one base, many with a second, and the frameworks'."""
    lecture = Snippet("plain", {name: RIGHT[name] for name in POINTS["plain"] if name != "tell"})
    bases = [lecture, *read_snippets("answers/plain")]
    habits = [habit for name in HABITS for habit in read_snippets(f"habits/{name}")]
    habits += [Snippet(name) for name in EDITS]
    plain = []
    for round_, (index, habit) in itertools.product(range(2), enumerate(habits)):
        base = bases[(index + 2 * round_) % len(bases)]
        submission = Submission(
            base.answers, tuple(habit.before), tuple(habit.after), EDITS.get(habit.name)
        )
        sample = round_ == 0 and habit.name in SAMPLE
        name = f"{habit.name} ({base.name})"
        plain.append(Variant(name, "plain", submission, habit.raises, sample))
    others = [
        Variant(
            f"{assignment}: {s.name}",
            assignment,
            Submission(s.answers, tuple(s.before), tuple(s.after)),
            s.raises,
        )
        for assignment in ("dask", "torch", "spark")
        for s in read_snippets(f"answers/{assignment}")
    ]
    return plain[:PLAIN_VARIANTS] + others


def run(scene: Scene, chosen: Sequence[Variant]) -> Iterator[tuple[Variant | None, str]]:
    """Grade the variants; yield what differs from full points and peace, and None for a batch's."""
    for assignment in POINTS:
        mine = [variant for variant in chosen if variant.assignment == assignment]
        for start in range(0, len(mine), BATCH_SIZE):
            part = mine[start : start + BATCH_SIZE]
            attacks = [
                Attack(f"HON{start + i:03d}", v.name, set(), v.submission)
                for i, v in enumerate(part)
            ]
            batch = run_batch(scene, assignment, attacks, controls=False)
            yield from _of_batch(batch)
            for variant, attack in zip(part, attacks, strict=True):
                yield from ((variant, what) for what in alarms(batch, attack.student, variant))


def _of_batch(batch: Batch) -> Iterator[tuple[None, str]]:
    if batch.status != 0:
        said = batch.console[-1500:].decode("utf-8", "replace")
        yield None, f"{batch.assignment}: exit status {batch.status}: {said}"
    yield from ((None, f"{batch.assignment}: left over: {what}") for what in batch.remaining)


def alarms(batch: Batch, student: str, variant: Variant) -> Iterator[str]:
    """Yield everything that an honest student should not meet."""
    record = batch.record(student)
    if record is None:
        yield "no record"
        return
    full = sum(points for name, points in POINTS[variant.assignment].items() if name != "tell")
    if batch.points(student) != full:
        yield f"{batch.points(student)} of {full} points"
    if record.status != "graded" or record.needs_attention:
        yield f"status {record.status}: {record.reason}"
    for exercise in record.exercises:
        for check in exercise.checks:
            if check.verdict is not Verdict.PASSED:
                yield (
                    f"{exercise.name}.{check.name} {check.verdict.value} {check.cause} "
                    f"{check.message} {check.evidence} | {check.detail[-600:]}"
                )
    yield from _of_cells(record, variant)
    for notice in record.notices:
        yield f"notice {notice.kind.value}: {notice.text}"


def _of_cells(record: Record, variant: Variant) -> Iterator[str]:
    for cell in record.cells:
        if cell.status in ("never_returned", "died", "not_run"):
            yield f"the cell {cell.cell_id} {cell.status}: {cell.error} {cell.text[-200:]!r}"
    raised = [cell for cell in record.cells if cell.status == "raised"]
    if len(raised) != variant.raises:
        said = "; ".join(f"{cell.cell_id}: {cell.error[:300]}" for cell in raised)
        yield f"{len(raised)} cells raised, and not {variant.raises}: {said}"
