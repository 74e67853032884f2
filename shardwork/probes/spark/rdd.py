"""RDDs: making them, their records, partitions and lineage."""

from __future__ import annotations

from typing import Any

from shardwork import lab
from shardwork.probes.server import question


@question("spark.rdd")
def make_rdd(partitions: list[list[object]]) -> Any:
    """Make an RDD of exactly these partitions (a list of records each)."""
    context = lab.spark().sparkContext
    if not partitions:
        return context.emptyRDD()

    def records(index: int, _: object) -> Any:
        return iter(partitions[index])

    # `parallelize` slices a list evenly; uneven and empty partitions need their own indices.
    return context.parallelize(range(len(partitions)), len(partitions)).mapPartitionsWithIndex(
        records
    )


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
