"""What the Spark probe relies on in pyspark 4.3: a Spark upgrade should fail here first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from shardwork import lab
from shardwork.probes import spark as probe

pytestmark = [pytest.mark.functional, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module", autouse=True)
def _session() -> Iterator[None]:
    lab.spark()
    yield
    lab.stop()


def pairs(partitions: int, size: int, keys: int) -> Any:
    """Random floats, so that neither pickling nor compression can shrink them."""
    rng = np.random.default_rng(5)
    return probe.make_rdd(
        [[(f"k{i % keys}", float(rng.normal())) for i in range(size)] for _ in range(partitions)]
    )


def test_an_rdd_has_exactly_the_partitions_that_were_asked_for() -> None:
    parts = [[1, 2, 3], [], [4], [5, 6]]
    assert probe.partitions(probe.make_rdd(parts)) == parts


def test_no_partitions_make_an_empty_rdd() -> None:
    assert probe.collect(probe.make_rdd([])) == []


def test_transformations_start_no_job_and_collect_starts_one() -> None:
    rdd = pairs(3, 50, 4)
    before = probe.mark()
    summed = rdd.reduceByKey(lambda a, b: a + b, 2)
    assert probe.since(before)["jobs"] == 0
    probe.collect(summed)
    seen = probe.since(before)
    # one map stage with a task for each of 3 partitions, one reduce stage with 2 tasks
    assert (seen["jobs"], seen["stages"], seen["tasks"]) == (1, 2, 5)


def test_a_stage_whose_shuffle_files_exist_is_skipped_and_counts_for_nothing() -> None:
    summed = pairs(3, 50, 4).reduceByKey(lambda a, b: a + b, 2)
    probe.collect(summed)
    before = probe.mark()
    probe.collect(summed)
    seen = probe.since(before)
    assert (seen["stages"], seen["tasks"], seen["shuffle_write_bytes"]) == (1, 2, 0)


def test_grouping_writes_many_times_the_bytes_of_combining() -> None:
    written = []
    for rdd in (pairs(4, 2000, 10).reduceByKey(max, 3), pairs(4, 2000, 10).groupByKey(3)):
        before = probe.mark()
        probe.collect(rdd.mapValues(lambda value: 1))
        written.append(probe.since(before)["shuffle_write_bytes"])
    assert written[1] > 10 * written[0]


def test_shuffles_in_the_lineage_are_counted_once_each() -> None:
    rdd = pairs(3, 50, 4)
    once = rdd.reduceByKey(max, 2)
    assert probe.rdd_shape(rdd)["shuffles"] == 0
    assert probe.rdd_shape(once.mapValues(abs))["shuffles"] == 1
    # A join of two that share a partitioner adds none of its own.
    assert probe.rdd_shape(once.join(rdd.reduceByKey(min, 2), 2))["shuffles"] == 2


def test_map_values_keeps_the_partitioner_and_map_loses_it() -> None:
    summed = pairs(3, 50, 4).reduceByKey(max, 5)
    kept = probe.rdd_shape(summed.mapValues(abs))
    assert (kept["partitioner_partitions"], kept["default_partitioner"]) == (5, True)
    lost = probe.rdd_shape(summed.map(lambda pair: pair))
    assert (lost["partitioner_partitions"], lost["num_partitions"]) == (None, 5)


def test_a_partition_function_of_ones_own_is_not_the_default_one() -> None:
    placed = pairs(2, 20, 4).partitionBy(3, len)
    assert probe.rdd_shape(placed)["default_partitioner"] is False


def test_keys_lie_where_the_hash_partitioner_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "0")  # as a sandbox has it; ints hash to themselves
    summed = probe.make_rdd([[(n, 1) for n in range(10)]]).reduceByKey(max, 3)
    found = [sorted(key for key, _ in part) for part in probe.partitions(summed)]
    assert (
        found == probe.hash_partitions(list(range(10)), 3) == [[0, 3, 6, 9], [1, 4, 7], [2, 5, 8]]
    )
