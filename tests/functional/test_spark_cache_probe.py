"""What Spark keeps and who reads it, as the probe tells; and aggregates that Spark cannot split."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from shardwork import lab
from shardwork.probes.server import find_question
from shardwork.probes.spark import activity, aggregates, cache, frame

pytestmark = [pytest.mark.functional, pytest.mark.filterwarnings("default")]

PARTITIONS = [[1.0, 2.0, 3.0], [], [4.0, 5.0]]
STEP = 100.0
ON_DISK = {"disk": True, "memory": False, "off_heap": False, "copies": 1}
NOWHERE = {"disk": False, "memory": False, "off_heap": False, "copies": 1}


@pytest.fixture(scope="module", autouse=True)
def _session() -> Iterator[None]:
    lab.spark()
    yield
    lab.stop()


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    yield
    lab.spark().catalog.clearCache()


def source() -> tuple[Any, str]:
    made = ask("spark.counted", PARTITIONS, STEP)
    return made["frame"], made["folder"]


def ask(question: str, *args: object) -> Any:
    return find_question(question)(*args)


def total(df: Any) -> float:
    return float(df.agg({"x": "sum"}).collect()[0][0])


def test_a_source_gives_its_values_once_and_other_ones_at_each_later_reading() -> None:
    df, folder = source()
    assert cache.readings(folder) == []
    assert [total(df), total(df)] == [15.0, 15.0 + 5 * STEP]
    assert cache.readings(folder) == [2, 2, 2]  # the empty partition was read, too


def test_a_persisted_source_is_read_once() -> None:
    df, folder = source()
    df.persist(cache.level("DISK_ONLY"))
    assert [total(df), total(df.where("x > 0")), df.count()] == [15.0, 15.0, 5]
    assert cache.readings(folder) == [1, 1, 1]


def test_an_action_on_a_few_rows_reads_no_partition_twice() -> None:
    df, folder = source()
    df.persist(cache.level("MEMORY_ONLY"))
    df.first()
    df.orderBy("x").limit(1).collect()  # sorting takes a sample before it begins
    assert cache.readings(folder) == [1, 1, 1]


def test_a_plan_that_is_marked_and_not_filled_is_told() -> None:
    df, _ = source()
    before = ask("spark.kept")
    df.persist(cache.level("DISK_ONLY"))
    marked = ask("spark.kept")
    assert (before["plans"], marked["plans"]) == (0, 1)
    df.unpersist()
    assert ask("spark.kept") == before


def test_kept_rows_of_an_rdd_are_told_and_no_query_reads_them() -> None:
    df, folder = source()
    before = ask("spark.kept")
    rows = df.rdd.persist(cache.level("DISK_ONLY"))
    rows.count()
    assert ask("spark.kept")["rdds"] == [*before["rdds"], rows.id()]
    total(df)
    assert cache.readings(folder) == [2, 2, 2]
    rows.unpersist()
    assert ask("spark.kept") == before


def test_another_object_with_the_same_plan_reads_the_cache_and_only_the_level_tells() -> None:
    df, folder = source()
    cache.persist(df, cache.level("DISK_ONLY"))
    assert not df.is_cached
    assert cache.storage(df) == ON_DISK
    assert total(df) == 15.0
    assert cache.readings(folder) == [1, 1, 1]
    cache.unpersist(df)
    assert cache.storage(df) == NOWHERE


def test_persisting_again_leaves_the_level_as_it_was() -> None:
    df, _ = source()
    df.persist(cache.level("DISK_ONLY"))
    df.persist(cache.level("MEMORY_ONLY"))
    assert cache.storage(df) == ON_DISK


def test_dropping_a_view_drops_the_cache_of_its_plan() -> None:
    df, _ = source()
    df.persist(cache.level("DISK_ONLY"))
    df.createOrReplaceTempView("of_the_same_plan")
    lab.spark().catalog.dropTempView("of_the_same_plan")
    assert cache.storage(df) == NOWHERE


def test_questions_note_what_is_kept_when_they_have_their_answers() -> None:
    df, _ = source()
    made = ask("spark.asked", ["sum", "largest", "distinct", "count", "columns"])
    first, *others = made["questions"]
    assert first(df) == 15.0
    df.persist(cache.level("DISK_ONLY"))
    later = [question(df) for question in others]
    assert later == [[105.0, 104.0, 103.0], 5, 5, ["x"]]  # read for the second time, and kept
    notes = cache.seen(made["number"])
    assert [len(note["filled"]) for note in notes] == [0, 1, 1, 1, 1]
    assert [level for _, level in notes[1]["filled"]] == [ON_DISK]


def test_a_question_that_raises_notes_nothing() -> None:
    made = ask("spark.asked", ["raises"])
    with pytest.raises(FloatingPointError):
        made["questions"][0](source()[0])
    assert cache.seen(made["number"]) == []


def test_a_failing_frame_fails_when_its_column_is_computed() -> None:
    from pyspark.errors import SparkRuntimeException

    broken = cache.failing(source()[0], 4.0)
    with pytest.raises(SparkRuntimeException):
        total(broken)
    assert total(cache.failing(source()[0], 7.0)) == 15.0


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("root of squares", 13.0), ("decibels", 13.086941633)],  # 10 log10(10^.3 + 10^.4 + 10^1.2)
)
def test_aggregates_are_sums_of_their_kind_in_any_grouping(kind: str, expected: float) -> None:
    values = [3.0, 4.0, 12.0]
    df = frame.make_frame("k int, v double", [[(i % 2, v) for i, v in enumerate(values)]])
    add_up: Any = aggregates.aggregate(kind)
    at_once = df.agg(add_up("v")).collect()[0][0]
    parts = df.groupBy("k").agg(add_up("v").alias("v")).agg(add_up("v")).collect()[0][0]
    assert [at_once, parts] == pytest.approx([expected, expected])


def test_an_aggregate_in_python_shuffles_every_row_and_one_of_spark_does_not() -> None:
    rows = [("k", float(v)) for v in range(500)]
    df = frame.make_frame("k string, v double", [rows[:250], rows[250:]])
    add_up: Any = aggregates.aggregate("root of squares")
    largest = []
    for aggregate in ({"v": "sum"}, None):
        before = activity.mark()
        grouped = df.groupBy("k")
        (grouped.agg(aggregate) if aggregate else grouped.agg(add_up("v"))).collect()
        largest.append(ask("spark.since", before)["max_task_shuffle_records"])
    assert largest == [2, 500]  # one partial result of each partition; every row
