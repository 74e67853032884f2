"""RDDs: making them, their records, partitions and lineage."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from typing import Any

from shardwork import lab
from shardwork.probes.server import question

_READ: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
"""The accumulators of counted RDDs."""


@question("spark.rdd")
def make_rdd(partitions: list[list[object]]) -> Any:
    """Make an RDD of exactly these partitions (a list of records each)."""
    context = lab.spark().sparkContext
    if not partitions:
        return context.emptyRDD()

    # One list for each slice, not in a closure: that would travel with all functions put upon it.
    return context.parallelize(partitions, len(partitions)).flatMap(lambda records: records)


@question("spark.counted_rdd")
def make_counted_rdd(partitions: list[list[object]]) -> Any:
    """Make an RDD of exactly these partitions; `spark.records_read` tells how much was read."""
    read = lab.spark().sparkContext.accumulator(0)

    def count(records: Iterable[object]) -> Iterator[object]:
        for record in records:
            read.add(1)
            yield record

    plain: Any = make_rdd(partitions)
    rdd = plain.mapPartitions(count)
    _READ[rdd] = read
    return rdd


@question("spark.records_read")
def records_read(rdd: Any) -> int:
    """Return how many records of a counted RDD were read, by tasks that succeeded."""
    return int(_READ[rdd].value)


@question("spark.collect")
def collect(rdd: Any) -> list[object]:
    """Return all records of an RDD."""
    return list(rdd.collect())


@question("spark.partitions")
def partitions(rdd: Any) -> list[list[object]]:
    """Return the records of an RDD, one list for each partition."""
    return list(rdd.glom().collect())


@question("spark.rdd_shape")
def rdd_shape(rdd: Any) -> dict[str, int | bool | None]:
    """Number of partitions, of the partitioner's partitions, and of shuffles in the lineage."""
    from pyspark.rdd import portable_hash

    partitioner = rdd.partitioner
    return {
        "num_partitions": int(rdd.getNumPartitions()),
        "partitioner_partitions": None if partitioner is None else int(partitioner.numPartitions),
        "default_partitioner": getattr(partitioner, "partitionFunc", None) is portable_hash,
        "shuffles": _count_shuffles(rdd._jrdd.rdd()),
    }


@question("spark.rdd_number")
def rdd_number(rdd: Any) -> int:
    """Return Spark's own number of an RDD."""
    return int(rdd.id())


@question("spark.hash_partitions")
def hash_partitions(keys: list[object], n: int) -> list[list[object]]:
    """Return the keys by the partition (of `n`) that Spark's hash partitioner gives them."""
    from pyspark.rdd import portable_hash

    return [[key for key in keys if portable_hash(key) % n == part] for part in range(n)]


def _count_shuffles(java_rdd: Any) -> int:
    """Count distinct ShuffleDependency objects in the lineage of a Scala RDD."""
    shuffles: set[int] = set()
    seen: set[int] = set()
    left = [java_rdd]
    while left:
        current = left.pop()
        if int(current.id()) in seen:
            continue
        seen.add(int(current.id()))
        dependencies = current.dependencies()
        for i in range(dependencies.size()):
            dependency = dependencies.apply(i)
            if dependency.getClass().getSimpleName() == "ShuffleDependency":
                shuffles.add(int(dependency.shuffleId()))
            left.append(dependency.rdd())
    return len(shuffles)
