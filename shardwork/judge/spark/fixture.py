"""The fixture `spark`: makes inputs in the sandbox, and watches what Spark does there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from shardwork.judge.dialogue import Dialogue
from shardwork.judge.faults import GraderFault, InputsFailed, StudentFault
from shardwork.judge.handle import Function, handle
from shardwork.judge.observed import typed
from shardwork.judge.spark.activity import Activity, Sent
from shardwork.judge.spark.cache import Cache
from shardwork.judge.spark.files import CatalogTable, Folder
from shardwork.judge.spark.handles import Context, CountedRdd, Rdd, Session, SparkFrame
from shardwork.judge.spark.models import FittedModel

Rows = Sequence[tuple[Any, ...]]


class Spark:
    """Make Spark inputs in the sandbox, and watch what Spark does there."""

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue
        self.cache = Cache(dialogue)
        """What is persisted, and inputs for exercises about it."""

    def rdd(self, partitions: list[list[Any]]) -> Rdd:
        """Make an RDD of exactly these partitions (uneven and empty ones, too)."""
        made = self._dialogue.make("spark.rdd", partitions)
        return handle(self._dialogue, made, Rdd, "rdd")

    def counted_rdd(self, partitions: list[list[Any]]) -> CountedRdd:
        """Make an RDD as `rdd` does; its handle tells how many records were read from it."""
        made = self._dialogue.make("spark.counted_rdd", partitions)
        return handle(self._dialogue, made, CountedRdd, "rdd")

    def frame(self, schema: str, rows: Rows, *, partitions: int | Sequence[int] = 2) -> SparkFrame:
        """Make a DataFrame of `rows` in exactly so many partitions.

        schema: a DDL text, `"k string, price decimal(10,2)"`.
        rows: tuples of cells, in the form in which cells travel (a decimal as `"12.30"`).
        partitions: their number, with sizes that differ by one at most; or the size of each.
        """
        made = self._dialogue.make("spark.frame", schema, divide(rows, partitions))
        return handle(self._dialogue, made, SparkFrame, "frame")

    def parquet(
        self, schema: str, rows: Rows, *, partition_by: Sequence[str] = (), files: int = 1
    ) -> str:
        """Write `rows` as a Parquet table in the sandbox; return its path.

        With `partition_by` there is a folder for each value of these columns. Each folder holds
        `files` files, or as many as it has rows if these are fewer.
        """
        if files < 1:
            raise GraderFault(f"a table of {files} files")
        made = self._dialogue.make("spark.parquet", schema, list(rows), list(partition_by), files)
        return typed(made, str)

    def aggregate(self, kind: str) -> Function:
        """Return an aggregate of one double column, made with `pandas_udf`: a kind of sum.

        "root of squares", or "decibels" (ten times the logarithm of the sum of the powers). Both
        give the same for their own results on parts as for all values at once.
        """
        made = self._dialogue.make("spark.aggregate", kind)
        return handle(self._dialogue, made, Function, "aggregate")

    def folder(self) -> Folder:
        """Return a path in the sandbox at which there is nothing yet, for a table."""
        return Folder(self._dialogue, typed(self._dialogue.make("spark.folder"), str))

    def table(self, name: str) -> CatalogTable:
        """Return the table of this name in the catalog, which need not be there yet."""
        return CatalogTable(self._dialogue, name)

    def model(self, value: object, name: str) -> FittedModel:
        """Return the handle of a fitted model that is one part of what the function `name` gave.

        Raises StudentFault if `value` is something else.
        """
        return handle(self._dialogue, value, FittedModel, name)

    def setting(self, name: str) -> str | None:
        """Return a setting of the session, None if it has no value."""
        found = self._dialogue.ask("spark.setting", name)
        return None if found is None else typed(found, str)

    def damage_parquet(
        self,
        path: str,
        *,
        folders: str = ".",
        columns: Sequence[str] | None = None,
        outside: tuple[str, float, float] | None = None,
    ) -> None:
        """Make data of a table unreadable; footers stay whole, so it can be opened and planned.

        folders: a pattern of folders inside the table, `"day=2026-01-0[1-3]"`.
        columns: what is damaged there, by name; None: all of it.
        outside: `(column, low, high)`: only blocks of rows without any of low <= column <= high.
        A result that is right proves that nothing damaged was read.
        """
        names = None if columns is None else list(columns)
        where = None if outside is None else list(outside)
        made = self._dialogue.make("spark.damage_parquet", path, folders, names, where)
        if not typed(made, int):
            raise GraderFault("nothing in the table was there to be damaged")

    def session(self) -> Session:
        """Return the notebook's session, to be passed to a student's function."""
        return handle(self._dialogue, self._dialogue.make("spark.session"), Session, "session")

    def context(self) -> Context:
        """Return the notebook's SparkContext, to be passed to a student's function."""
        return handle(self._dialogue, self._dialogue.make("spark.context"), Context, "context")

    def hash_partitions(self, keys: list[Any], n: int) -> list[list[Any]]:
        """Return `keys` by the partition of `n` that Spark's hash partitioner gives them.

        Asked in the sandbox: the hash of a str depends on that process's PYTHONHASHSEED.
        """
        return typed(self._dialogue.make("spark.hash_partitions", keys, n), list[list[Any]])

    @contextlib.contextmanager
    def closures(self) -> Iterator[Sent]:
        """Measure what goes to the Python workers for what is made and run inside the block."""
        sent = Sent()
        self._dialogue.make("spark.listen")
        try:
            yield sent
        except BaseException:
            with contextlib.suppress(InputsFailed, StudentFault):
                self._dialogue.ask("spark.heard")
            raise
        found = typed(self._dialogue.ask("spark.heard"), Sent)
        sent.closures, sent.broadcasts_made = found.closures, found.broadcasts_made

    @contextlib.contextmanager
    def conf(self, name: str, value: str) -> Iterator[None]:
        """Set a setting of the session (`spark.sql.adaptive.enabled`) inside the block.

        A plan is made when it is first asked for: ask inside the block.
        """
        before = self._dialogue.make("spark.set_conf", name, value)
        try:
            yield
        except BaseException:
            # What went wrong in the block is the news; after it the sandbox may be gone.
            with contextlib.suppress(InputsFailed, StudentFault):
                self._dialogue.make("spark.set_conf", name, before)
            raise
        self._dialogue.make("spark.set_conf", name, before)

    @contextlib.contextmanager
    def watch(self) -> Iterator[Activity]:
        """Count the jobs, stages, tasks, bytes and records of everything run inside the block."""
        seen = Activity()
        first = typed(self._dialogue.make("spark.mark"), int)
        yield seen
        found = typed(self._dialogue.ask("spark.since", first), Activity)
        for field in Activity.__struct_fields__:
            setattr(seen, field, getattr(found, field))


def divide(rows: Rows, partitions: int | Sequence[int]) -> list[list[tuple[Any, ...]]]:
    """Cut rows into so many parts of nearly equal size, or into parts of these sizes, in order."""
    if isinstance(partitions, int):
        if partitions < 1:
            raise GraderFault(f"a DataFrame of {partitions} partitions")
        less, more = divmod(len(rows), partitions)
        sizes = [less + (part < more) for part in range(partitions)]
    else:
        sizes = list(partitions)
        if sum(sizes) != len(rows):
            raise GraderFault(f"partitions of {sum(sizes)} rows in all, for {len(rows)} rows")
    starts = [sum(sizes[:part]) for part in range(len(sizes))]
    return [list(rows[start : start + size]) for start, size in zip(starts, sizes, strict=True)]
