"""What a grader sees of Spark's caches: sources that notice being read, and what is kept when."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from shardwork.judge.dialogue import Dialogue
from shardwork.judge.handle import Function, Handle, handle
from shardwork.judge.observed import typed
from shardwork.judge.spark.handles import SparkFrame


class Storage(msgspec.Struct, frozen=True):
    """Where a storage level keeps rows; whether it keeps them serialised is left out."""

    disk: bool
    memory: bool
    off_heap: bool = False
    copies: int = 1


class Level(Handle):
    """A `StorageLevel` in the sandbox, to be given to the student's function."""

    kind = "spark.level"


class Kept(msgspec.Struct, frozen=True):
    """What is persisted: ids of RDDs, and the number of plans of DataFrames that are marked."""

    rdds: list[int]
    plans: int

    def has_more_than(self, before: Kept) -> bool:
        """Whether anything is persisted now that was not `before`."""
        return self.plans > before.plans or not set(self.rdds) <= set(before.rdds)


class Seen(Kept, frozen=True):
    """What was persisted when a question had its answer; `filled` are RDDs that take up room."""

    filled: list[tuple[int, Storage]]


class Questions:
    """Functions to be asked of a DataFrame with a column `x`, which note what is persisted."""

    def __init__(self, dialogue: Dialogue, functions: dict[str, Function], number: int) -> None:
        self.functions = functions
        self._dialogue, self._number = dialogue, number

    def seen(self) -> list[Seen]:
        """What was persisted whenever one of the functions had its answer, in that order."""
        return typed(self._dialogue.ask("spark.seen", self._number), list[Seen])


class Source:
    """A DataFrame that notices being read.

    A partition holds its values when it is read for the first time, and each later reading adds
    the step once more to all of them: answers tell which reading they come from.
    """

    def __init__(self, dialogue: Dialogue, frame: SparkFrame, folder: str) -> None:
        self.frame = frame
        self._dialogue, self._folder = dialogue, folder

    def readings(self) -> int:
        """How often the partition that was read most often was read."""
        found = typed(self._dialogue.ask("spark.readings", self._folder), list[int])
        return max(found, default=0)


class Cache:
    """What is persisted in the sandbox's Spark, and inputs for exercises about it."""

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue

    def level(self, name: str) -> Level:
        """Return the `StorageLevel` of this name (`"DISK_ONLY"`)."""
        return handle(self._dialogue, self._dialogue.make("spark.level", name), Level, "level")

    def source(self, partitions: Sequence[Sequence[float]], step: float) -> Source:
        """Make a DataFrame with one column `x` and these partitions, which notices being read."""
        made = self._dialogue.make("spark.counted", [list(p) for p in partitions], step)
        frame = handle(self._dialogue, made["frame"], SparkFrame, "frame")
        return Source(self._dialogue, frame, typed(made["folder"], str))

    def failing(self, frame: SparkFrame, value: float) -> SparkFrame:
        """Return the rows of `frame`; computing `x` of a row that holds `value` raises."""
        made = self._dialogue.make("spark.failing", frame, value)
        return handle(self._dialogue, made, SparkFrame, "frame")

    def questions(self, *kinds: str) -> Questions:
        """Make functions that find something out about `x`, by name.

        Kinds: "sum", "min", "max", "distinct" (values), "largest" (three), "count", "columns"
        (which runs no job), and "raises", a FloatingPointError after a job.
        """
        made = self._dialogue.make("spark.asked", list(kinds))
        functions = [handle(self._dialogue, f, Function, "function") for f in made["questions"]]
        number = typed(made["number"], int)
        return Questions(self._dialogue, dict(zip(kinds, functions, strict=True)), number)

    def persist(self, frame: SparkFrame, level: Level) -> None:
        """Persist and fill the plan of `frame`, through another object that has the same plan."""
        self._dialogue.make("spark.persist", frame, level)

    def release(self, frame: SparkFrame) -> None:
        """Take back what `persist` did, or what was left behind."""
        self._dialogue.make("spark.unpersist", frame)

    def storage(self, frame: SparkFrame) -> Storage:
        """Return how the plan of `frame` is persisted: neither on disk nor in memory if not."""
        return typed(self._dialogue.ask("spark.storage", frame), Storage)

    def kept(self) -> Kept:
        """What is persisted now."""
        return typed(self._dialogue.ask("spark.kept"), Kept)
