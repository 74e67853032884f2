"""DataFrames: making them, and the tables that they are read from; rows, columns, partitions."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from shardwork import lab
from shardwork.lab.spark_session import scratch_folder
from shardwork.probes.server import question
from shardwork.probes.spark.cells import inward, outward
from shardwork.probes.spark.rdd import make_rdd

Rows = list[tuple[object, ...]]


@question("spark.frame")
def make_frame(schema: str, partitions: list[Rows]) -> Any:
    """Make a DataFrame of exactly these partitions (a list of rows each).

    `schema` is a DDL text (`"k string, price decimal(10,2)"`); cells are as `cells` says.
    In plans it is one `Scan ExistingRDD`, whatever is done with it later.
    """
    kind = _struct(schema)
    row = inward(kind)
    cells = [[row(one) for one in rows] for rows in partitions]
    return lab.spark().createDataFrame(make_rdd(cells), kind)


@question("spark.parquet")
def make_parquet(schema: str, rows: Rows, partition_by: list[str], files: int) -> str:
    """Write rows as a Parquet table below the session's own folder; return its path.

    With `partition_by` there is a folder for each value of these columns, as `partitionBy` makes
    them. Each folder holds `files` files, or as many as it has rows if these are fewer.
    """
    names = _struct(schema).fieldNames()
    places = [names.index(name) for name in partition_by]
    parts: list[Rows] = [[] for _ in range(files)]
    dealt: Counter[tuple[object, ...]] = Counter()
    for row in rows:
        folder = tuple(row[place] for place in places)
        parts[dealt[folder] % files].append(row)
        dealt[folder] += 1
    path = Path(tempfile.mkdtemp(prefix="table-", dir=scratch_folder())) / "table"
    frame: Any = make_frame(schema, parts)
    frame.write.parquet(path.as_uri(), partitionBy=partition_by or None)
    # Spark checks these sums of every 512 bytes: a damaged column would make a whole footer unread.
    for sums in path.rglob(".*.crc"):
        sums.unlink()
    return str(path)


@question("spark.damage_parquet")
def damage_parquet(
    path: str, folders: str, columns: list[str] | None, outside: list[Any] | None
) -> int:
    """Make data of the files in the folders that match a pattern unreadable; return how much.

    Footers stay whole, so the table can be opened and planned. See `shardwork.probes.dask.damage`.
    """
    from shardwork.probes.dask.damage import damage_parquet as damage

    # Only files that lie in a folder themselves are damaged: a table without folders is "."
    return sum(damage(str(one), columns, outside) for one in sorted(Path(path).glob(folders)))  # type: ignore[misc]


@question("spark.frame_rows")
def rows(frame: Any) -> list[object]:
    """Collect the rows of a DataFrame, a tuple of cells each."""
    row = outward(frame.schema)
    return [row(one) for one in frame.collect()]


@question("spark.frame_partitions")
def frame_partitions(frame: Any) -> list[list[object]]:
    """Collect the rows of a DataFrame, one list for each partition."""
    row = outward(frame.schema)
    return [[row(one) for one in part] for part in frame.rdd.glom().collect()]


@question("spark.frame_schema")
def schema(frame: Any) -> list[tuple[str, str]]:
    """Return name and type (`"decimal(10,2)"`) of each column; runs nothing."""
    return [(str(field.name), str(field.dataType.simpleString())) for field in frame.schema.fields]


@question("spark.frame_num_partitions")
def num_partitions(frame: Any) -> int:
    """Return the number of partitions.

    Runs a job where the plan is adaptive or sorts (the boundaries are sampled), and keeps its
    shuffle files for the next action.
    """
    return int(frame._jdf.queryExecution().toRdd().getNumPartitions())


def _struct(schema: str) -> Any:
    from pyspark.sql.types import StructType

    lab.spark()  # parsing needs a session
    return StructType.fromDDL(schema)
