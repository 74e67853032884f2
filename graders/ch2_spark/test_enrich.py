"""2.3 `enrich`: a lookup whose table travels once, and a count that is right at any time.

Tables of more than 1 MiB are never used: a closure that large is broadcast by Spark itself, and a
captured table would then look like a broadcast one.
"""

from __future__ import annotations

import pickle
from collections import Counter

from shardwork.grading import Function, Rdd, blame, once_per_seed

Records = list[tuple[str, float]]

CODES = ["JP", "DE", "東京", "São", "naïve", "🦉", "a b", " JP", "jp", "0", "K-9", "ß"]
NAMES = ["日本", "Deutschland", "京", "São Paulo", "Ísland", "owl 🦉", "same", "same", "0", "None"]
UNKNOWN = ["??", "", "JP ", "Jp", "日本", "ss", "00"]


def records(rng, known: list[str], unknown: list[str], partitions: int) -> list[Records]:
    """Random records in uneven partitions, one of them empty; some records are equal."""
    codes = known * 3 + unknown * 2
    values = [float(x) for x in rng.normal(0.0, 10.0, size=len(codes))]
    drawn = list(zip(codes, values, strict=True))
    drawn += [drawn[i] for i in rng.choice(len(drawn), size=8, replace=False)]
    places = rng.choice(partitions, size=len(drawn), p=rng.dirichlet([2.0] * partitions))
    parts: list[Records] = [[] for _ in range(partitions)]
    for i in rng.permutation(len(drawn)).tolist():
        parts[int(places[i])].append(drawn[i])
    parts.insert(int(rng.integers(partitions)), [])
    return parts


def table_of(rng, codes: list[str]) -> dict[str, str]:
    """A name for each code but the last two, which have the empty one."""
    drawn = rng.integers(len(NAMES), size=len(codes)).tolist()
    names = {code: NAMES[i] for code, i in zip(codes, drawn, strict=True)}
    return names | dict.fromkeys(codes[-2:], "")


def call(student, spark, rdd, table):
    return student.call("enrich", spark.context(), rdd, table, returns=(Rdd, Function))


def test_values(student, spark, rng):
    """Records with a known code have its name, also the empty one; the others are counted."""
    codes = [str(code) for code in rng.permutation(CODES)]
    table = table_of(rng, codes)
    data = records(rng, codes, UNKNOWN, 3)
    enriched, bad_count = call(student, spark, spark.rdd(data), table)
    flat = [record for part in data for record in part]
    right = Counter((table[code], value) for code, value in flat if code in table)
    named = Counter((table[code], value) for code, value in flat if table.get(code))
    found = Counter(enriched.collect(Records))
    assert found == right, blame(
        "FALSY_NAME" if found == named else None,
        rows=found.total(), expected=right.total(),
        because="" if found == named
        else "Equal records should be kept as often as they occur." if found == Counter(set(right))
        else "Some records of known codes are missing." if found.total() < right.total()
        else "There are more records than have a known code." if found.total() > right.total()
        else "Some records have another name or another value.",
    )  # fmt: skip
    bad = sum(code not in table for code, _ in flat)
    counted = bad_count.value(as_=int)
    falsy = counted == len(flat) - named.total()
    assert counted == bad, blame(
        "FALSY_NAME" if falsy else None,
        counted=counted,
        because="" if falsy else "After the result has been computed once, bad_count() is wrong.",
    )


def test_bad_count(student, spark, rng):
    """bad_count() is right whether the result has been computed never, once or twice."""
    codes = [code for code in CODES if code != "ß"]
    table = dict.fromkeys(codes, "a name")
    data = records(rng, codes, UNKNOWN, 3)
    bad = sum(code not in table for part in data for code, _ in part)
    enriched, bad_count = call(student, spark, spark.rdd(data), table)
    counts = [bad_count.value(as_=int)]
    for _ in range(2):
        enriched.collect(Records)
        counts.append(bad_count.value(as_=int))
    if counts != [bad] * 3:
        never, once, twice = counts
        code = (
            "DRIVER_GLOBAL" if counts == [0, 0, 0]
            else "DOUBLE_COUNT" if twice >= 2 * bad and twice % bad == 0
            else None
        )  # fmt: skip
        assert False, blame(
            code, never=never, once=once, twice=twice,
            because="" if code
            else "bad_count() is right only after the result has been computed."
            if (once, twice) == (bad, bad)
            else "bad_count() is wrong.",
        )  # fmt: skip


def test_one_stage(student, spark, rng):
    """The call runs no job, and the result is computed in one stage, without a shuffle."""
    data = records(rng, CODES, UNKNOWN, int(rng.integers(3, 6)))
    rdd = spark.rdd(data)
    with spark.watch() as during_call:
        enriched, _ = call(student, spark, rdd, dict.fromkeys(CODES, "a name"))
    assert during_call.jobs == 0, blame(
        because="The call itself ran Spark jobs: {jobs}.", jobs=during_call.jobs
    )
    with spark.watch() as action:
        rows = enriched.collect(Records)
    assert len(rows) > 0, blame(because="The result is empty.")
    found = {"jobs": action.jobs, "stages": action.stages, "tasks": action.tasks}
    complete = len(rows) == sum(code in CODES for part in data for code, _ in part)
    assert action.stages <= 1 and action.shuffle_write_bytes == 0, blame(
        "RDD_JOIN" if complete else None,  # something else shuffles where records are lost
        because="" if complete else "Computing the result takes more than one stage.", **found,
    )  # fmt: skip
    assert action.tasks == len(data), blame(
        because="Computing the result did not run one task for each partition of rdd.",
        partitions=len(data), **found,
    )  # fmt: skip


LARGEST_CLOSURE_BYTES = 32_000
"""Measured: 2 500 to 6 300 with a broadcast, 11 300 where a join is behind it, 255 000 with the
table."""


@once_per_seed
def large_case(rng):
    letters = list("abcdefghijklmnopqrstuvwxyz 東京é")
    codes = [f"{i:06d}" for i in rng.choice(10**6, size=5_500, replace=False)]
    table = {code: "".join(rng.choice(letters, 24)) for code in codes}
    assert 200_000 < len(pickle.dumps(table)) < 500_000
    return table, records(rng, codes[:200], UNKNOWN, 3)


def test_small_closures(student, spark, seed):
    """No function that is sent to the workers carries the table with it."""
    table, data = large_case(seed)
    rdd = spark.rdd(data)
    with spark.closures() as sent:
        enriched, bad_count = call(student, spark, rdd, table)
        rows = enriched.collect(Records)
        bad_count.value(as_=int)
    assert len(rows) > 0, blame(because="The result is empty.")
    opened_early = sent.broadcasts_made > 0 and not any(c.broadcasts for c in sent.closures)
    assert sent.largest_bytes <= LARGEST_CLOSURE_BYTES, blame(
        "VALUE_OUTSIDE" if opened_early else "CLOSURE_CAPTURE",
        largest=sent.largest_bytes, bound=LARGEST_CLOSURE_BYTES,
    )  # fmt: skip


def test_empty(student, spark, rng):
    """No records give none and a count of 0, and with an empty table all are bad."""
    for data in ([], [[], []]):
        enriched, bad_count = call(student, spark, spark.rdd(data), {"JP": "日本"})
        assert enriched.collect(Records) == [], blame(
            because="An empty RDD should give an empty result."
        )
        assert bad_count.value(as_=int) == 0, blame(because="Nothing is bad in an empty RDD.")
    data = records(rng, [], UNKNOWN, 2)
    enriched, bad_count = call(student, spark, spark.rdd(data), {})
    assert enriched.collect(Records) == [], blame(
        because="With an empty table the result should be empty."
    )
    assert bad_count.value(as_=int) == sum(len(part) for part in data), blame(
        because="With an empty table all records are bad."
    )
