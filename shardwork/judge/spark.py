"""What a grader sees of Spark: handles of its objects, and a watch on what it runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from shardwork.judge.dialogue import Dialogue
from shardwork.judge.handle import Handle, handle
from shardwork.judge.observed import typed

T = TypeVar("T")


class Activity(msgspec.Struct):
    """What Spark ran inside a `with spark.watch()` block; filled in when the block ends.

    Stages that were skipped count for nothing. Bytes are those of shuffle files.
    """

    jobs: int = 0
    stages: int = 0
    tasks: int = 0
    shuffle_write_bytes: int = 0
    shuffle_read_bytes: int = 0


class RddShape(msgspec.Struct, frozen=True):
    """`partitioner_partitions` is None where Spark knows no partitioner."""

    num_partitions: int
    partitioner_partitions: int | None
    default_partitioner: bool
    """Whether the partitioner is Spark's own hash of the key."""
    shuffles: int
    """Distinct shuffle dependencies in the lineage."""


class Rdd(Handle):
    """A Spark RDD in the sandbox."""

    kind = "spark.rdd"

    def collect(self, as_: type[T]) -> T:
        """Collect all records, as a list of type `as_` (`list[tuple[str, int]]`)."""
        return typed(self._dialogue.ask("spark.collect", self), as_)

    def partitions(self, as_: type[T]) -> T:
        """Collect the records of each partition, as type `as_` (`list[list[...]]`)."""
        return typed(self._dialogue.ask("spark.partitions", self), as_)

    def shape(self) -> RddShape:
        """Describe partitions, partitioner and lineage, without running a job."""
        return typed(self._dialogue.ask("spark.rdd_shape", self), RddShape)


class Spark:
    """Make Spark inputs in the sandbox, and watch what Spark does there."""

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue

    def rdd(self, partitions: list[list[Any]]) -> Rdd:
        """Make an RDD of exactly these partitions (uneven and empty ones, too)."""
        made = self._dialogue.make("spark.rdd", partitions)
        return handle(self._dialogue, made, Rdd, "rdd")

    def hash_partitions(self, keys: list[Any], n: int) -> list[list[Any]]:
        """Return `keys` by the partition of `n` that Spark's hash partitioner gives them.

        Asked in the sandbox: the hash of a str depends on that process's PYTHONHASHSEED.
        """
        return typed(self._dialogue.make("spark.hash_partitions", keys, n), list[list[Any]])

    @contextlib.contextmanager
    def watch(self) -> Iterator[Activity]:
        """Count the jobs, stages, tasks and shuffle bytes of everything run inside the block."""
        seen = Activity()
        first = typed(self._dialogue.make("spark.mark"), int)
        yield seen
        found = typed(self._dialogue.ask("spark.since", first), Activity)
        for field in Activity.__struct_fields__:
            setattr(seen, field, getattr(found, field))
