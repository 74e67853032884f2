"""What Spark ran inside a `with spark.watch()` block, or sent in a `with spark.closures()` one."""

from __future__ import annotations

import msgspec


class StageActivity(msgspec.Struct, frozen=True):
    """One stage that ran; the fields mean what they mean in `Activity`."""

    number: int
    tasks: int
    input_records: int
    result_bytes: int
    memory_spilled_bytes: int
    shuffle_write_bytes: int
    shuffle_write_records: int
    shuffle_read_bytes: int
    shuffle_read_records: int
    max_task_shuffle_records: int


class Activity(msgspec.Struct):
    """What Spark ran inside a `with spark.watch()` block; filled in when the block ends.

    Stages that were skipped count for nothing. Of an RDD of Python objects, a shuffle record is a
    pickled batch of them; of a DataFrame it is a row.
    """

    jobs: int = 0
    stages: int = 0
    tasks: int = 0
    shuffle_write_bytes: int = 0
    shuffle_read_bytes: int = 0
    input_records: int = 0
    """Records read from files and from cached partitions (where one batch of rows is one)."""
    result_bytes: int = 0
    """What the tasks sent to the driver, serialised."""
    memory_spilled_bytes: int = 0
    """What was moved from memory to disk because memory ran short, as it took in memory."""
    max_task_shuffle_records: int = 0
    """The most shuffle records that one task read."""
    by_stage: tuple[StageActivity, ...] = ()
    """The stages that ran, by number: a stage comes after those that it reads from."""


class Closure(msgspec.Struct, frozen=True):
    """A function that was pickled for the Python workers, with all that it refers to."""

    pickled_bytes: int
    """Before Spark itself broadcasts what is larger than 1 MiB."""
    broadcasts: int
    """The broadcast variables that it refers to."""


class Sent(msgspec.Struct):
    """What goes to the workers in a `with spark.closures()` block; filled in when it ends."""

    closures: tuple[Closure, ...] = ()
    broadcasts_made: int = 0
    """How often somebody called `sc.broadcast`."""

    @property
    def largest_bytes(self) -> int:
        return max((closure.pickled_bytes for closure in self.closures), default=0)
