"""Tables that a student's code writes in the sandbox: into a folder, or into the catalog.

The judge has a path made, hands it out and asks about it; it never opens it.
"""

from __future__ import annotations

import msgspec

from shardwork.judge.dialogue import Dialogue
from shardwork.judge.handle import handle
from shardwork.judge.observed import typed
from shardwork.judge.spark.handles import SparkFrame


class DataFile(msgspec.Struct, frozen=True):
    """A file of a table; `rows` is None if it is no Parquet file."""

    directory: str
    """Below the table: `"country=JP/week=5"`, `"."` if it lies at the top."""
    name: str
    rows: int | None


class Folder:
    """A path in the sandbox at which there is nothing yet, for a table to be written to."""

    def __init__(self, dialogue: Dialogue, path: str) -> None:
        self._dialogue = dialogue
        self.path = path

    def files(self) -> list[DataFile]:
        """Describe the data files below the path; runs no Spark job."""
        return typed(self._dialogue.ask("spark.folder_files", self.path), list[DataFile])

    def read(self) -> SparkFrame:
        """Read the whole table; columns that are names of directories are text."""
        made = self._dialogue.ask("spark.read", self.path)
        return handle(self._dialogue, made, SparkFrame, "spark.read.parquet")


class CatalogTable:
    """A table of the catalog that a student's code has saved, by its name."""

    def __init__(self, dialogue: Dialogue, name: str) -> None:
        self._dialogue = dialogue
        self.name = name

    def files(self) -> list[DataFile]:
        """Describe the data files of the table; runs no Spark job."""
        return typed(self._dialogue.ask("spark.table_files", self.name), list[DataFile])

    def read(self) -> SparkFrame:
        """Read the whole table."""
        made = self._dialogue.ask("spark.table", self.name)
        return handle(self._dialogue, made, SparkFrame, "spark.table")

    def counts(self, key: str) -> SparkFrame:
        """Count the rows of each value of `key`, lazily: a plan to look at."""
        made = self._dialogue.ask("spark.group_counts", self.read(), key)
        return handle(self._dialogue, made, SparkFrame, "groupBy")
