"""What goes to Python workers, what is read again and what stays persisted (pyspark 4.3)."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from operator import add
from typing import Any

import numpy as np
import pytest

from shardwork import lab
from shardwork.probes.spark import cache, closures, rdd

pytestmark = [pytest.mark.functional, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def sc() -> Iterator[Any]:
    yield lab.spark().sparkContext
    lab.stop()


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    yield
    closures.heard()


def table(entries: int) -> dict[str, str]:
    rng = np.random.default_rng(5)
    return {f"k{i}": rng.bytes(10).hex() for i in range(entries)}


def records() -> Any:
    return rdd.make_rdd([[("k1", 1.0), ("k2", 2.0)], [], [("k9", 9.0)]])


def test_a_captured_table_is_in_the_closure_and_a_broadcast_one_is_not(sc: Any) -> None:
    names = table(5_000)
    size = len(pickle.dumps(names))
    closures.listen()
    records().map(lambda r: names.get(r[0])).collect()
    captured = closures.heard()
    assert [c["broadcasts"] for c in captured["closures"]] == [0]
    assert size < captured["closures"][0]["pickled_bytes"] < 1.1 * size
    assert captured["broadcasts_made"] == 0
    closures.listen()
    ticket = sc.broadcast(names)
    records().map(lambda r: ticket.value.get(r[0])).collect()
    shared = closures.heard()
    assert [c["broadcasts"] for c in shared["closures"]] == [1]
    assert shared["closures"][0]["pickled_bytes"] < 5_000
    assert shared["broadcasts_made"] == 1


def test_the_value_of_a_broadcast_that_is_read_outside_is_captured(sc: Any) -> None:
    closures.listen()
    names = sc.broadcast(table(5_000)).value
    records().map(lambda r: names.get(r[0])).collect()
    found = closures.heard()
    assert found["broadcasts_made"] == 1
    assert [c["broadcasts"] for c in found["closures"]] == [0]
    assert found["closures"][0]["pickled_bytes"] > 100_000


def test_a_closure_that_spark_broadcasts_itself_is_measured_before(sc: Any) -> None:
    names = table(60_000)
    closures.listen()
    records().map(lambda r: names.get(r[0])).collect()
    found = closures.heard()
    assert found["closures"][0]["pickled_bytes"] > len(pickle.dumps(names)) > 1 << 20
    assert found["closures"][0]["broadcasts"] == 0
    assert found["broadcasts_made"] == 0


def test_the_records_of_an_input_are_not_in_the_closures_upon_it(sc: Any) -> None:
    closures.listen()
    large = rdd.make_rdd([[("k", value) for value in table(20_000).values()]])
    assert large.map(lambda r: 1).sum() == 20_000
    assert max(c["pickled_bytes"] for c in closures.heard()["closures"]) < 5_000


def test_udfs_are_heard_too(sc: Any) -> None:
    from pyspark.sql import functions as F

    names = table(5_000)
    closures.listen()
    look_up = F.udf(names.get, "string")
    lab.spark().range(3).select(look_up(F.concat(F.lit("k"), "id"))).collect()
    assert max(c["pickled_bytes"] for c in closures.heard()["closures"]) > 100_000


def test_nothing_is_left_in_pyspark_when_listening_ends(sc: Any) -> None:
    from pyspark import SparkContext
    from pyspark.core import rdd as module

    before = (module._prepare_for_python_RDD, SparkContext.broadcast)
    closures.listen()
    closures.listen()
    closures.heard()
    assert (module._prepare_for_python_RDD, SparkContext.broadcast) == before
    assert closures.heard() == {"closures": [], "broadcasts_made": 0}


def test_records_are_counted_each_time_that_they_are_read(sc: Any) -> None:
    parts: list[list[object]] = [[("a", 1), ("b", 2)], [], [("a", 3)]]
    counted = rdd.make_counted_rdd(parts)
    assert rdd.partitions(counted) == parts
    counted.count()
    assert rdd.records_read(counted) == 6
    # Behind a shuffle the files of the first job serve the second one.
    sums = counted.reduceByKey(add, 2)
    sums.collect()
    sums.collect()
    assert rdd.records_read(counted) == 9


def test_a_persisted_rdd_is_known_by_its_number_until_it_is_released(sc: Any) -> None:
    before: Any = cache.kept()
    kept = records().mapValues(str).persist()
    held: Any = cache.kept()
    assert set(held["rdds"]) - set(before["rdds"]) == {rdd.rdd_number(kept)}
    kept.count()
    kept.unpersist()
    assert cache.kept() == before
