"""What Spark keeps (pyspark 4.3): sources that notice being read, and what is persisted when.

Sandbox side: answers are claims. But what a source of `counted` gives depends on how often it was
read before, so the values that come out of it cannot be right if it was read twice.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from shardwork import lab
from shardwork.lab.spark_session import scratch_folder
from shardwork.probes.server import question

Frame = Any
"""A `pyspark.sql.DataFrame`; PySpark is imported where it is used."""


@question("spark.level")
def level(name: str) -> object:
    """Return the `StorageLevel` of this name (`"DISK_ONLY"`)."""
    from pyspark import StorageLevel

    return getattr(StorageLevel, name)


@question("spark.counted")
def counted(partitions: list[list[float]], step: float) -> dict[str, object]:
    """Make a DataFrame with the column `x`, and a folder that counts how often it is read.

    A partition holds its values when it is read for the first time; each later reading adds `step`
    once more to every value. The folder grows by one byte for each reading of each partition.
    """
    folder = tempfile.mkdtemp(prefix="readings-", dir=scratch_folder())

    def rows(frames: Iterator[Any]) -> Iterator[Any]:
        import pandas as pd

        for frame in frames:
            for index in frame["id"].tolist():
                with Path(folder, str(index)).open("ab") as readings:
                    readings.write(b".")
                    before = readings.tell() - 1
                values = [value + step * before for value in partitions[index]]
                yield pd.DataFrame({"x": values}, dtype="float64")

    places = lab.spark().range(0, len(partitions), 1, len(partitions))
    return {"frame": places.mapInPandas(rows, "x double"), "folder": folder}


@question("spark.readings")
def readings(folder: str) -> list[int]:
    """How often each partition was read that was read at all, of a source of `counted`."""
    return [path.stat().st_size for path in sorted(Path(folder).iterdir())]


@question("spark.failing")
def failing(frame: Frame, value: float) -> Frame:
    """Return the rows of `frame`; to compute the column `x` of one that holds `value` raises."""
    from pyspark.sql import functions as F

    error = F.raise_error(F.lit("this row cannot be computed")).cast("double")
    return frame.select(F.when(F.col("x") == value, error).otherwise(F.col("x")).alias("x"))


@question("spark.persist")
def persist(frame: Frame, storage_level: object) -> Frame:
    """Persist and fill the plan of `frame`; return the other object by which it was done.

    `frame` itself then does not know (`frame.is_cached` is False), but Spark does.
    """
    same_plan = frame.select("*").persist(storage_level)
    same_plan.count()
    return same_plan


@question("spark.unpersist")
def unpersist(frame: Frame) -> None:
    """Take the mark of the plan of `frame` away, if there is one."""
    frame.unpersist(blocking=True)


@question("spark.storage")
def storage(frame: Frame) -> dict[str, object]:
    """How the plan of `frame` is persisted; not on disk and not in memory if it is not."""
    marked = frame.storageLevel
    return {
        "disk": bool(marked.useDisk),
        "memory": bool(marked.useMemory),
        "off_heap": bool(marked.useOffHeap),
        "copies": int(marked.replication),
    }


@question("spark.kept")
def kept() -> dict[str, object]:
    """What is persisted now: ids of RDDs, and the number of marked plans of DataFrames."""
    return _kept()


def _kept() -> dict[str, object]:
    session = lab.spark()
    persistent = session.sparkContext._jsc.getPersistentRDDs()
    plans = session._jsparkSession.sharedState().cacheManager()
    return {
        "rdds": sorted(int(number) for number in persistent.keySet()),
        "plans": int(plans.numCachedEntries()),
    }


@question("spark.asked")
def asked(kinds: list[str]) -> dict[str, object]:
    """Make a function for each of these kinds of `_ANSWERS`, to be asked of a frame with `x`.

    Once it has its answer, it notes what is persisted at that moment; `number` is for `seen`.
    """
    number = len(_notes)
    _notes.append([])
    return {"questions": [_noting(_ANSWERS[kind], number) for kind in kinds], "number": number}


@question("spark.seen")
def seen(number: int) -> list[dict[str, object]]:
    """What was persisted whenever one of the functions of `asked` had its answer."""
    return _notes[number]


_notes: list[list[dict[str, object]]] = []


def _noting(answer: Callable[[Frame], object], number: int) -> Callable[[Frame], object]:
    def ask(frame: Frame) -> object:
        value = answer(frame)
        _notes[number].append({**_kept(), "filled": _filled()})
        return value

    return ask


def _filled() -> list[tuple[int, dict[str, object]]]:
    """The RDDs of which partitions are kept, of DataFrames and others alike: id and storage.

    Whether rows are kept serialised is left out: of a DataFrame, Spark decides it by itself.
    """
    found = lab.spark().sparkContext._jsc.sc().getRDDStorageInfo()
    return [
        (int(info.id()), _java_storage(info.storageLevel()))
        for info in found
        if int(info.numCachedPartitions()) > 0
    ]


def _java_storage(level: Any) -> dict[str, object]:
    return {
        "disk": bool(level.useDisk()),
        "memory": bool(level.useMemory()),
        "off_heap": bool(level.useOffHeap()),
        "copies": int(level.replication()),
    }


def _of_x(function: str) -> Callable[[Frame], object]:
    def answer(frame: Frame) -> object:
        from pyspark.sql import functions as F

        return frame.agg(getattr(F, function)("x")).collect()[0][0]

    return answer


def _largest(frame: Frame) -> object:
    from pyspark.sql import functions as F

    return [row["x"] for row in frame.orderBy(F.desc("x")).limit(3).collect()]


def _raises(frame: Frame) -> object:
    frame.count()
    raise FloatingPointError("a question without an answer")


_ANSWERS: dict[str, Callable[[Frame], object]] = {
    "sum": _of_x("sum"),
    "min": _of_x("min"),
    "max": _of_x("max"),
    "distinct": _of_x("count_distinct"),
    "largest": _largest,
    "count": lambda frame: frame.count(),
    "columns": lambda frame: list(frame.columns),
    "raises": _raises,
}
