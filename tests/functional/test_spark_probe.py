"""What the Spark probe relies on in pyspark 4.3: a Spark upgrade should fail here first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from shardwork import lab
from shardwork.probes.spark import activity, frame
from shardwork.probes.spark import rdd as rdds

pytestmark = [pytest.mark.functional, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module", autouse=True)
def _session() -> Iterator[None]:
    lab.spark()
    yield
    lab.stop()


def pairs(partitions: int, size: int, keys: int) -> Any:
    """Random floats, so that neither pickling nor compression can shrink them."""
    rng = np.random.default_rng(5)
    return rdds.make_rdd(
        [[(f"k{i % keys}", float(rng.normal())) for i in range(size)] for _ in range(partitions)]
    )


def test_an_rdd_has_exactly_the_partitions_that_were_asked_for() -> None:
    parts = [[1, 2, 3], [], [4], [5, 6]]
    assert rdds.partitions(rdds.make_rdd(parts)) == parts


def test_no_partitions_make_an_empty_rdd() -> None:
    assert rdds.collect(rdds.make_rdd([])) == []


def test_transformations_start_no_job_and_collect_starts_one() -> None:
    rdd = pairs(3, 50, 4)
    before = activity.mark()
    summed = rdd.reduceByKey(lambda a, b: a + b, 2)
    assert activity.since(before)["jobs"] == 0
    rdds.collect(summed)
    seen = activity.since(before)
    # one map stage with a task for each of 3 partitions, one reduce stage with 2 tasks
    assert (seen["jobs"], seen["stages"], seen["tasks"]) == (1, 2, 5)


def test_a_stage_whose_shuffle_files_exist_is_skipped_and_counts_for_nothing() -> None:
    summed = pairs(3, 50, 4).reduceByKey(lambda a, b: a + b, 2)
    rdds.collect(summed)
    before = activity.mark()
    rdds.collect(summed)
    seen = activity.since(before)
    assert (seen["stages"], seen["tasks"], seen["shuffle_write_bytes"]) == (1, 2, 0)


def test_grouping_writes_many_times_the_bytes_of_combining() -> None:
    written = []
    for rdd in (pairs(4, 2000, 10).reduceByKey(max, 3), pairs(4, 2000, 10).groupByKey(3)):
        before = activity.mark()
        rdds.collect(rdd.mapValues(lambda value: 1))
        written.append(activity.since(before)["shuffle_write_bytes"])
    assert written[1] > 10 * written[0]


def test_shuffles_in_the_lineage_are_counted_once_each() -> None:
    rdd = pairs(3, 50, 4)
    once = rdd.reduceByKey(max, 2)
    assert rdds.rdd_shape(rdd)["shuffles"] == 0
    assert rdds.rdd_shape(once.mapValues(abs))["shuffles"] == 1
    # A join of two that share a partitioner adds none of its own.
    assert rdds.rdd_shape(once.join(rdd.reduceByKey(min, 2), 2))["shuffles"] == 2


def test_map_values_keeps_the_partitioner_and_map_loses_it() -> None:
    summed = pairs(3, 50, 4).reduceByKey(max, 5)
    kept = rdds.rdd_shape(summed.mapValues(abs))
    assert (kept["partitioner_partitions"], kept["default_partitioner"]) == (5, True)
    lost = rdds.rdd_shape(summed.map(lambda pair: pair))
    assert (lost["partitioner_partitions"], lost["num_partitions"]) == (None, 5)


def test_a_partition_function_of_ones_own_is_not_the_default_one() -> None:
    placed = pairs(2, 20, 4).partitionBy(3, len)
    assert rdds.rdd_shape(placed)["default_partitioner"] is False


def test_keys_lie_where_the_hash_partitioner_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "0")  # as a sandbox has it; ints hash to themselves
    summed = rdds.make_rdd([[(n, 1) for n in range(10)]]).reduceByKey(max, 3)
    found = [sorted(key for key, _ in part) for part in rdds.partitions(summed)]
    assert found == rdds.hash_partitions(list(range(10)), 3) == [[0, 3, 6, 9], [1, 4, 7], [2, 5, 8]]


def test_the_largest_task_of_a_shuffle_is_known_by_the_rows_it_read() -> None:
    """1000 rows of key a and 100 of key b: one of them has 1000 rows, and nothing has more."""
    rows = [("a", 1)] * 900 + [("b", 2)] * 100 + [("a", 1)] * 100
    skewed = frame.make_frame("k string, n int", [rows[:1000], rows[1000:]])
    before = activity.mark()
    frame.rows(skewed.repartition(40, "k"))
    seen = activity.since(before)
    assert seen["max_task_shuffle_records"] == 1000
    first, second = seen["by_stage"]
    assert (first["tasks"], first["shuffle_write_records"]) == (2, 1100)
    assert (second["tasks"], second["shuffle_read_records"]) == (40, 1100)
    assert second["max_task_shuffle_records"] == 1000
    assert first["shuffle_write_bytes"] == seen["shuffle_write_bytes"] > 0


def test_records_read_and_bytes_sent_to_the_driver_are_counted() -> None:
    path = frame.make_parquet("n int", [(n,) for n in range(5000)], [], 2)
    table = lab.spark().read.parquet(path)
    before = activity.mark()
    frame.rows(table)
    all_rows = activity.since(before)
    before = activity.mark()
    frame.rows(table.groupBy().count())
    one_row = activity.since(before)
    assert all_rows["input_records"] == one_row["input_records"] == 5000
    assert all_rows["result_bytes"] > one_row["result_bytes"] + 5000
    assert all_rows["memory_spilled_bytes"] == 0


def test_a_job_without_partitions_is_a_job_and_leaves_no_gap() -> None:
    before = activity.mark()
    lab.spark().sparkContext.emptyRDD().foreach(print)
    rdds.collect(pairs(2, 5, 2))
    assert activity.mark() == before + activity.since(before)["jobs"]
