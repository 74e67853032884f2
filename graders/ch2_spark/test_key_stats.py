"""2.1 `key_stats`: one lazy shuffle that carries partial results and ends hash-partitioned.

Values are random floats, which neither pickle nor the shuffle's compression can shrink: with
constant values the bytes of a grouping and of a combining shuffle are about the same.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from shardwork.grading import Rdd, blame, once_per_seed, same, typed

Rows = list[tuple[str, tuple[int, float, float]]]
Pairs = list[tuple[str, Any]]
"""What is asked where the triples are another check's subject."""

WORDS = [
    "oslo", "cairo", "東京", "são paulo", "naïve", "", "zürich", "kyiv", "a b", "🦉", "québec", "x",
]  # fmt: skip
PARTIAL_BYTES = 60
"""At most what one partial result (a key of up to 12 characters, three numbers) takes in a shuffle
file, pickled; measured: 25 to 45."""
BLOCK_BYTES = 100
"""At most what one block adds (stream header, framing); one for each pair of partitions."""


def pairs(rng, partitions: int, size: int, keys: list[str]) -> list[list[tuple[str, float]]]:
    """Random pairs in uneven partitions, one of them empty; the last key is always negative."""
    drawn = [[] for _ in range(partitions)]
    which = rng.integers(len(keys), size=size)
    every = min(4 * len(keys), size)
    which[:every] = [index % len(keys) for index in range(every)]
    values = rng.normal(0.0, 100.0, size=size)
    values = np.where(which == len(keys) - 1, -abs(values) - 1.0, values)
    places = rng.choice(partitions - 1, size=size, p=rng.dirichlet([1.0] * (partitions - 1)))
    for place, key, value in zip(places.tolist(), which.tolist(), values.tolist(), strict=True):
        drawn[place].append((keys[key], value))
    drawn.insert(int(rng.integers(partitions)), drawn.pop())  # the one that nothing was drawn into
    return drawn


def expected(partitions: list[list[tuple[str, float]]]) -> dict[str, tuple[int, float, float]]:
    values: dict[str, list[float]] = {}
    for partition in partitions:
        for key, value in partition:
            values.setdefault(key, []).append(value)
    return {key: (len(v), math.fsum(v), max(v)) for key, v in values.items()}


# A sum of n numbers in any order: the error is below n * eps * sum(|x|), far below this.
same_stats = functools.partial(same, rel=1e-9, abs=1e-6)


def why_wrong(got: dict, right: dict, partitions: list) -> str | None:
    """Name the one mistake that explains all values, if there is one."""
    if got.keys() != right.keys():
        return None
    if all(same_stats(got[k], (c, s, max(m, 0.0))) for k, (c, s, m) in right.items()):
        return "MAX_FROM_ZERO"
    for key, (_, total, largest) in right.items():
        lengths = [n for p in partitions if (n := sum(k == key for k, _ in p))]
        as_one = {n + len(lengths) - 1 for n in lengths}
        if got[key][0] not in as_one or not same_stats((0, *got[key][1:]), (0, total, largest)):
            return None
    return "COUNTS_PARTIALS"


def no_shuffle():
    return blame(
        because="Computing the result shuffles nothing: the pairs come together in another way."
    )


def test_values(student, spark, rng):
    """Count, sum and maximum of every key are right, negative and Unicode ones too."""
    for partitions, n in ((int(rng.integers(4, 8)), int(rng.integers(2, 6))), (2, 1)):
        data = pairs(rng, partitions, 600, [str(w) for w in rng.permutation(WORDS)])
        rows = student.call("key_stats", spark.rdd(data), n, returns=Rdd).collect(Pairs)
        assert all(isinstance(triple, tuple) for _, triple in rows), blame(
            because="The value of some key is not a tuple."
        )
        rows = typed(rows, Rows)
        got, right = dict(rows), expected(data)
        assert len(rows) == len(got), blame(because="A key came back more than once.")
        assert got.keys() == right.keys(), blame(
            because="Some keys are missing, or there are keys that were not in the input."
        )
        wrong = [key for key in right if not same_stats(got[key], right[key])]
        code = why_wrong(got, right, data) if wrong else None
        counts = any(got[key][0] != right[key][0] for key in right)
        maxima = any(got[key][2] != right[key][2] for key in right)
        assert not wrong, blame(
            code, wrong_keys=len(wrong), keys=len(right),
            because="" if code
            else "The count of some keys is wrong." if counts
            else "The maximum of some keys is wrong." if maxima
            else "The sum of some keys is wrong.",
        )  # fmt: skip


def test_empty_and_wrong_n(student, spark, seed):
    """An empty RDD gives an empty result, and n below 1 is a ValueError."""
    for data in ([], [[], []]):
        rows = student.call("key_stats", spark.rdd(data), 3, returns=Rdd).collect(Pairs)
        assert rows == [], blame(because="An empty RDD should give an empty result.")
    for n in (0, -2):
        raised = student.refusal("key_stats", spark.rdd([[("a", 1.0)]]), n)
        assert "ValueError" in raised, blame(because="An n below 1 should raise ValueError.")


def test_lazy(student, spark, rng):
    """The call itself starts no Spark job."""
    rdd = spark.rdd(pairs(rng, 4, 200, WORDS))
    with spark.watch() as during_call:
        student.call("key_stats", rdd, 3, returns=Rdd)
    assert during_call.jobs == 0, blame("COLLECT_THEN_PARALLELIZE", jobs=during_call.jobs)


def test_one_shuffle(student, spark, rng):
    """Computing the result is one job with one shuffle: two stages, and no needless tasks."""
    partitions, n = int(rng.integers(4, 7)), int(rng.integers(2, 5))
    rdd = spark.rdd(pairs(rng, partitions, 400, WORDS))
    stats = student.call("key_stats", rdd, n, returns=Rdd)
    shuffles = stats.shape().shuffles
    assert shuffles <= 1, blame("THREE_SHUFFLES", shuffles=shuffles)
    with spark.watch() as action:
        stats.collect(Pairs)
    found = {"jobs": action.jobs, "stages": action.stages, "tasks": action.tasks}
    assert action.stages <= 2, blame("THREE_SHUFFLES", **found)
    assert action.jobs <= 1, blame(because="Collecting the result ran {jobs} jobs.", **found)
    # Without these, bringing all pairs into one partition first would pass.
    assert action.stages == 2, no_shuffle()
    assert action.tasks == partitions + n, blame(
        because="The two stages did not have one task for each partition of rdd and n tasks.",
        needed=partitions + n, **found,
    )  # fmt: skip


SENSORS = [f"sensor-{i}" for i in range(20)]


@once_per_seed
def many_pairs(rng):
    return pairs(rng, 5, 24_000, SENSORS)


def test_small_shuffle(student, spark, seed):
    """Only partial results cross the network, not the values."""
    data, n, keys = many_pairs(seed), 3, SENSORS
    partitions = len(data)
    stats = student.call("key_stats", spark.rdd(data), n, returns=Rdd)
    shuffles = max(1, stats.shape().shuffles)  # needless shuffles are another check's subject
    with spark.watch() as action:
        rows = stats.collect(Pairs)
    assert {key for key, _ in rows} == set(keys), blame(because="Some keys are missing.")
    partials = partitions * (len(keys) * PARTIAL_BYTES + n * BLOCK_BYTES)
    written, bound = action.shuffle_write_bytes, 4 * partials * shuffles
    assert written > 0, no_shuffle()
    everything = 8 * sum(len(p) for p in data)  # eight bytes a value, before any key
    code = "GROUP_BY_KEY" if written > everything / 2 else None
    assert written <= bound, blame(
        code, written=written, bound=bound, times=round(written / bound, 1),
        because="" if code else "The shuffle wrote {times} times as many bytes as it may.",
    )  # fmt: skip


def test_partitioner(student, spark, rng):
    """The result lies in n partitions by the hash of the key, and Spark knows it."""
    n = int(rng.integers(3, 7))
    data = pairs(rng, 4, 300, WORDS)
    stats = student.call("key_stats", spark.rdd(data), n, returns=Rdd)
    shape = stats.shape()
    assert shape.num_partitions == n, blame(
        because="The result does not have n partitions.", partitions=shape.num_partitions, n=n
    )
    places = [sorted({key for key, _ in part}) for part in stats.partitions(list[Pairs])]
    placed = places == spark.hash_partitions(sorted(expected(data)), n)
    if shape.partitioner_partitions is None:
        # In its place but not known to be: what was lost is the knowledge.
        code = "PARTITIONER_LOST" if placed and shape.shuffles > 0 else None
        assert False, blame(
            code, because="" if code else "Spark knows no partitioner of the result."
        )
    assert shape.partitioner_partitions == n, blame(
        because="The partitioner of the result does not have n partitions."
    )
    assert shape.default_partitioner, blame(
        because="The partitioner is not Spark's own hash partitioner."
    )
    assert placed, blame(because="Some keys lie in another partition than their hash says.")
