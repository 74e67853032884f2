"""Handles of Spark's objects in the sandbox. What their methods return are claims of a probe."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from shardwork.judge.handle import Handle
from shardwork.judge.observed import typed
from shardwork.judge.spark.plan import Plan

T = TypeVar("T")


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

    def number(self) -> int:
        """Return Spark's number of this RDD, by which `spark.cache.kept()` names it."""
        return typed(self._dialogue.ask("spark.rdd_number", self), int)


class CountedRdd(Rdd):
    """An input that counts the records that tasks read from it."""

    def records_read(self) -> int:
        """Return how many records were read so far; one that is read twice counts twice."""
        return typed(self._dialogue.ask("spark.records_read", self), int)


class SparkFrame(Handle):
    """A Spark DataFrame in the sandbox.

    Cells travel as closed values: decimals, dates and timestamps as text, see `docs/author.md`.
    """

    kind = "spark.frame"

    def collect(self, as_: type[T]) -> T:
        """Collect the rows, as a list of type `as_` (`list[tuple[str, int | None]]`)."""
        return typed(self._dialogue.ask("spark.frame_rows", self), as_)

    def partitions(self, as_: type[T]) -> T:
        """Collect the rows of each partition, as type `as_` (`list[list[tuple[...]]]`)."""
        return typed(self._dialogue.ask("spark.frame_partitions", self), as_)

    def schema(self) -> list[tuple[str, str]]:
        """Return name and Spark type (`"decimal(10,2)"`) of each column; runs nothing."""
        return typed(self._dialogue.ask("spark.frame_schema", self), list[tuple[str, str]])

    def columns(self) -> list[str]:
        """Return the names of the columns; runs nothing."""
        return [name for name, _ in self.schema()]

    def num_partitions(self) -> int:
        """Return the number of partitions.

        Runs a job where the plan sorts or is adaptive; what it shuffles is used again by the next
        action. So count jobs and bytes first, and ask this last.
        """
        return typed(self._dialogue.ask("spark.frame_num_partitions", self), int)

    def plan(self, *, into_cache: bool = False) -> Plan:
        """Describe the physical and the optimised logical plan; runs nothing.

        Metrics (files and rows read) are filled in once this very DataFrame was collected.
        `into_cache` walks into the plans that made cached relations, too.
        """
        return typed(self._dialogue.ask("spark.plan", self, into_cache), Plan)


class Session(Handle):
    """The SparkSession of the notebook, as an argument for a student's function."""

    kind = "spark.session"


class Context(Handle):
    """The SparkContext of the notebook, as an argument for a student's function."""

    kind = "spark.context"
