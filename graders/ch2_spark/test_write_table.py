"""2.10 `write_table` and `write_bucketed`: full files, one shuffle, and a second run that is safe.

What lies on disk is asked of the sandbox and read from the Parquet files' own footers; the rows
themselves are read back through Spark. A shuffle record of a DataFrame is a row, so that records
tell how often the rows crossed the network, whatever they weigh.
"""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from typing import Any

import numpy as np

from shardwork.grading import blame, once_per_seed

Row = tuple[str | None, str | None, int, float]
Files = dict[str, list[tuple[str, int]]]

SCHEMA = "country string, week string, item bigint, amount double"
KEYS = ["country", "week"]
COUNTRIES = ["JP", "FR", "BR", "são tomé", "KE"]
WEEKS = ["2027-W04", "2027-W05", "2027-W06"]
NULL = "__HIVE_DEFAULT_PARTITION__"

MAX_JOBS = 6
"""Measured: one for `repartition`, two or three with a count or sampled ranges first; a write for
each of the twelve directories takes thirteen."""


def draw(
    rng: np.random.Generator, directories: list[tuple[str | None, str | None]], most: int = 90
):
    """Draw the rows of these directories, between one and `most` of each, in a random order."""
    keys = [keys for keys in directories for _ in range(int(rng.integers(1, most)))]
    order = rng.permutation(len(keys))
    amounts = rng.normal(50.0, 20.0, len(keys)).tolist()
    return [(*keys[i], int(i), amount) for i, amount in zip(order, amounts, strict=True)]


def some_directories(rng: np.random.Generator, n: int) -> list[tuple[str | None, str | None]]:
    """Draw `n` directories, one of them without a country, one with the country in two scripts."""
    every = [(country, week) for country in COUNTRIES for week in WEEKS]
    chosen = [every[i] for i in rng.permutation(len(every))[: n - 2]]
    return [*chosen, (None, WEEKS[0]), ("東京", WEEKS[1])]


def directory_of(row: Row) -> str:
    country, week = (NULL if key is None else key for key in row[:2])
    return f"country={country}/week={week}"


def files_of(folder: Any) -> Files:
    """Return name and rows of each file, by directory; every file must be a Parquet file."""
    found: Files = defaultdict(list)
    for file in folder.files():
        assert file.rows is not None, blame(because="There is a file that is not a Parquet file.")
        if file.rows:
            found[file.directory].append((file.name, file.rows))
    return dict(found)


def rows_of(folder: Any) -> Counter[Row]:
    frame = folder.read()
    columns = ["country", "week", "item", "amount"]
    places = [frame.columns().index(name) if name in frame.columns() else -1 for name in columns]
    assert -1 not in places, blame(because="Read back, the table lacks a column of df.")
    rows = frame.collect(list[tuple[Any, ...]])
    return Counter(tuple(row[place] for place in places) for row in rows)


@once_per_seed
def table_of_many(rng: np.random.Generator) -> tuple[list[Row], int]:
    """Draw a table of twelve directories in which several need more than one file, and several one.

    The rows of a directory lie in all partitions of the DataFrame, for they are in random order.
    """
    rows = draw(rng, some_directories(rng, 12))
    return rows, int(rng.integers(18, 30))


def needed(rows: list[Row], rows_per_file: int) -> dict[str, int]:
    counts = Counter(directory_of(row) for row in rows)
    return {directory: -(-count // rows_per_file) for directory, count in counts.items()}


def test_files(student, spark, seed):
    """Each directory has as few files as its rows need, and no file has too many rows."""
    rows, rows_per_file = table_of_many(seed)
    folder = spark.folder()
    student.value(
        "write_table", spark.frame(SCHEMA, rows, partitions=5), folder.path, KEYS, rows_per_file,
        as_=Any,
    )  # fmt: skip
    found, right = files_of(folder), needed(rows, rows_per_file)
    assert found.keys() == right.keys(), blame(
        because="The directories are not one for each combination of the keys, in their order."
    )
    counts = Counter(directory_of(row) for row in rows)
    lost = [d for d, files in found.items() if sum(n for _, n in files) != counts[d]]
    assert not lost, blame(because="Some directories do not have as many rows as df has for them.")
    longest = max(n for files in found.values() for _, n in files)
    few = all(len(found[directory]) <= right[directory] for directory in right)
    assert longest <= rows_per_file, blame(
        "UNCUT" if few else None, longest=longest, rows_per_file=rows_per_file,
        because="" if few else "Some file has more than rows_per_file rows.",
    )  # fmt: skip
    assert few, blame(
        "SMALL_FILES", files=sum(len(files) for files in found.values()), needed=sum(right.values())
    )


def test_rows(student, spark, rng):
    """All rows are there once, with the keys and values that they had, null and Unicode ones."""
    rows = draw(rng, some_directories(rng, 5), most=20)
    folder = spark.folder()
    student.value(
        "write_table", spark.frame(SCHEMA, rows, partitions=3), folder.path, KEYS, 7, as_=Any
    )
    found, right = rows_of(folder), Counter(rows)
    assert not right - found, blame(because="Some rows of df are not in the table.")
    assert not found - right, blame(because="There are rows in the table that are not in df.")


def test_work(student, spark, seed):
    """The rows cross the network once at most, and all stages of the write run in parallel."""
    rows, rows_per_file = table_of_many(seed)
    partitions, folder = 6, spark.folder()
    frame = spark.frame(SCHEMA, rows, partitions=partitions)
    with spark.watch() as seen:
        student.value("write_table", frame, folder.path, KEYS, rows_per_file, as_=Any)
    found = {"jobs": seen.jobs, "stages": seen.stages, "tasks": seen.tasks}
    written = sum(n for files in files_of(folder).values() for _, n in files)
    assert written == len(rows), blame(because="The table does not have as many rows as df.")
    assert seen.jobs > 0, blame(because="The rows were not written by Spark.")
    assert seen.jobs <= MAX_JOBS, blame("DIRECTORY_BY_DIRECTORY", **found)
    require_one_parallel_shuffle(seen, len(rows), partitions)


def require_one_parallel_shuffle(seen: Any, rows: int, partitions: int) -> None:
    """Fail the check unless what was seen moved the rows once at most, and by many tasks."""
    shuffled = sum(stage.shuffle_write_records for stage in seen.by_stage)
    # A count of the rows of each directory shuffles a few partial results beside the rows.
    assert shuffled <= 1.5 * rows, blame(
        because="The rows cross the network more than once.", shuffled=shuffled, rows=rows
    )
    # Looking at a few rows or counting them may be done by one task. So only the stages matter that
    # move the rows; if none does, the last stage wrote them as it read them.
    sends = [stage for stage in seen.by_stage if stage.shuffle_write_records >= rows / 2]
    takes = [stage for stage in seen.by_stage if stage.shuffle_read_records >= rows / 2]
    narrow = [stage for stage in sends or seen.by_stage[-1:] if stage.tasks < partitions]
    narrow += [stage for stage in takes if stage.tasks < 2]
    assert not narrow, blame("COALESCE_ONE", stages=seen.stages, tasks=seen.tasks)


def test_run_again(student, spark, rng):
    """A second run replaces the directories that it has rows for, and leaves all others alone."""
    directories = some_directories(rng, 5)
    first = draw(rng, directories, most=25)
    again = [*directories[1:3], ("KE", "2027-W07")]
    second = draw(rng, again, most=12)
    folder = spark.folder()
    student.value(
        "write_table", spark.frame(SCHEMA, first, partitions=2), folder.path, KEYS, 10, as_=Any
    )
    before = files_of(folder)
    student.value(
        "write_table", spark.frame(SCHEMA, second, partitions=2), folder.path, KEYS, 10, as_=Any
    )
    after = files_of(folder)
    replaced = {directory_of((*keys, 0, 0.0)) for keys in again}
    kept = before.keys() - replaced
    assert kept & after.keys(), blame("OVERWRITE_ALL", directories=len(after))
    old, new = rows_of_directories(before, replaced), rows_of_directories(after, replaced)
    written = Counter(directory_of(row) for row in second)
    assert new != old + written, blame("APPEND_DUPES")
    assert new == written, blame(
        because="The directories of the second run do not have exactly the rows of the second run."
    )
    assert all(after.get(directory) == before[directory] for directory in kept), blame(
        because="Files of directories for which the second run has no rows have changed."
    )
    student.value(
        "write_table", spark.frame(SCHEMA, [], partitions=1), folder.path, KEYS, 10, as_=Any
    )
    assert files_of(folder) == after, blame(because="A df without rows changes the table.")


def rows_of_directories(files: Files, directories: set[str]) -> Counter[str]:
    return Counter({d: sum(n for _, n in files[d]) for d in directories if d in files})


SETTINGS = {
    "spark.sql.sources.partitionOverwriteMode": "static",
    "spark.sql.files.maxRecordsPerFile": "0",
    "spark.sql.shuffle.partitions": "4",
    "spark.sql.adaptive.enabled": "false",
}


def test_session_and_arguments(student, spark, rng):
    """The session's settings stay, and no keys or a rows_per_file below 1 are a ValueError."""
    frame = spark.frame(SCHEMA, draw(rng, some_directories(rng, 3), most=5), partitions=2)
    folder = spark.folder()
    with contextlib.ExitStack() as settings:
        for name, value in SETTINGS.items():
            settings.enter_context(spark.conf(name, value))
        student.value("write_table", frame, folder.path, ["country"], 100, as_=Any)
        changed = sum(spark.setting(name) != value for name, value in SETTINGS.items())
    assert changed == 0, blame("SETTING_LEFT", changed=changed)
    for keys, rows_per_file in (([], 5), (["country"], 0), (["country"], -3)):
        raised = student.refusal("write_table", frame, folder.path, keys, rows_per_file)
        assert "ValueError" in raised, blame(
            because="An empty list of keys, or rows_per_file below 1, should raise ValueError."
        )


def test_buckets(student, spark, rng):
    """The bucketed table is grouped by its key without a shuffle, and a bucket is one file."""
    # Not four, which is how many partitions a shuffle makes that is not told a number.
    buckets, items = int(rng.choice([3, 5, 6])), int(rng.integers(40, 60))
    table = spark.table(f"items_{rng.integers(10**9)}")
    for most in (9, 4):  # the second time the table is there already
        rows = [
            (None, WEEKS[0], item, float(rng.normal()))
            for item in rng.permutation(np.repeat(np.arange(items), rng.integers(1, most, items)))
        ]
        rows = [(country, week, int(item), amount) for country, week, item, amount in rows]
        frame = spark.frame(SCHEMA, rows, partitions=5)
        with spark.watch() as seen:
            student.value("write_bucketed", frame, table.name, "item", buckets, as_=Any)
        files = table.files()
        counts = table.counts("item")
        assert not counts.plan().exchanges, blame("NO_BUCKETS")
        found = counts.collect(list[tuple[int, int]])
        assert sorted(found) == sorted(Counter(row[2] for row in rows).items()), blame(
            because="Counted by the key, the table does not hold the rows of df, each once."
        )
        assert len(files) <= buckets, blame(
            "FILES_PER_TASK_AND_BUCKET", files=len(files), buckets=buckets
        )
        require_one_parallel_shuffle(seen, len(rows), partitions=5)
