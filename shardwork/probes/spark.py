"""Describe Spark objects and what Spark did (pyspark 4.3). Sandbox side: answers are claims.

Every private interface of pyspark that the course relies on is used in this file and nowhere else;
`tests/functional/test_spark_probe.py` pins what it relies on.
"""

from __future__ import annotations

from typing import Any

from shardwork import lab
from shardwork.probes.server import question


@question("spark.rdd")
def make_rdd(partitions: list[list[object]]) -> object:
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


@question("spark.mark")
def mark() -> int:
    """Return the id that the next job of this application will have."""
    return max(_job_ids(), default=-1) + 1


@question("spark.since")
def since(first: int) -> dict[str, int]:
    """Sum up the jobs from id `first` on: jobs, stages and tasks run, shuffle bytes.

    A stage that was skipped (its shuffle files were there already) counts for nothing.
    """
    context = lab.spark().sparkContext
    store = context._jsc.sc().statusStore()
    jobs = [number for number in _job_ids() if number >= first]
    stages = {int(stage) for job in jobs for stage in _ints(store.job(job).stageIds())}
    seen = {
        "jobs": len(jobs),
        "stages": 0,
        "tasks": 0,
        "shuffle_write_bytes": 0,
        "shuffle_read_bytes": 0,
    }
    for number in stages:
        stage = store.lastStageAttempt(number)
        if str(stage.status()) == "SKIPPED":
            continue
        seen["stages"] += 1
        seen["tasks"] += int(stage.numCompleteTasks())
        seen["shuffle_write_bytes"] += int(stage.shuffleWriteBytes())
        seen["shuffle_read_bytes"] += int(stage.shuffleReadBytes())
    return seen


def _job_ids() -> list[int]:
    java_context = lab.spark().sparkContext._jsc.sc()
    java_context.listenerBus().waitUntilEmpty()
    jobs = java_context.statusStore().jobsList(None)
    return [int(jobs.apply(i).jobId()) for i in range(jobs.size())]


def _ints(scala_seq: Any) -> list[int]:
    return [int(scala_seq.apply(i)) for i in range(scala_seq.size())]


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
