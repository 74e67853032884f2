"""2.7 `salted_join` and `salted_sum`: keys cut up for a shuffle, and nothing else changed.

What may be read by one task is held against the rows of the hot key, which the judge drew: without
a salt one task reads all of them. The rows that come out are compared in the same checks, so that
what is measured is a computation that gives the right rows.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from shardwork.grading import SparkFrame, blame, same, typed

BIG = "key string, id bigint, amount double"
SMALL = "key string, label string, rank int"
JOINED = ["key", "id", "amount", "label", "rank"]
HOT_ROWS, OTHER_ROWS, SALTS = 14_400, 1_600, 128
LETTERS = [*"abcdefghijk", "東京"]
"""No key here is the beginning of another one with digits behind it: see `KEYS_GLUED`."""

# Worked out, not measured: with 128 salts in 4 partitions a task reads 4,400 rows in the mean, with
# a standard deviation of 550 (128 salted keys fall into 4 partitions by chance). Without salt it is
# 14,400 or more. The bound is half of that, five standard deviations above the mean.
# (Measured with 32 salts and another 12,000 rows, 80 % hot: 3,914 to 4,552; without salt 10,147.)
MAY_READ = HOT_ROWS // 2

Row = tuple[Any, ...]


def mixed(rng, rows: list[Row]) -> list[Row]:
    return [rows[i] for i in rng.permutation(len(rows)).tolist()]


def tables(rng, keys: dict[Any, int], copies: dict[Any, int]) -> tuple[list[Row], list[Row]]:
    """Rows of big (`keys`: rows of each key) and of small (`copies`), with ids and labels."""
    big = [key for key, n in keys.items() for _ in range(n)]
    small = [key for key, n in copies.items() for _ in range(n)]
    ids = rng.permutation(10 * len(big))[: len(big)].tolist()
    amounts = rng.uniform(0.0, 100.0, size=len(big)).tolist()
    return (
        list(zip(big, ids, amounts, strict=True)),
        [(key, f"label {i}", int(rng.integers(100))) for i, key in enumerate(small)],
    )


def joined(big: list[Row], small: list[Row]) -> list[Row]:
    """The inner join, worked out by hand."""
    by_key: dict[Any, list[Row]] = {}
    for key, *rest in small:
        by_key.setdefault(key, []).append(tuple(rest))
    return [(*row, *rest) for row in big if row[0] is not None for rest in by_key.get(row[0], [])]


def rows_of(frame: SparkFrame) -> list[Row]:
    """The rows of a join, with the columns in the order of `JOINED`."""
    names = frame.columns()
    assert sorted(names) == sorted(JOINED), blame(
        because="The columns are not those of big.join(small, key).", columns=len(names)
    )
    places = [names.index(name) for name in JOINED]
    return [tuple(row[place] for place in places) for row in frame.collect(list[Row])]


def why_wrong(got: list[Row], right: list[Row], big: list[Row], small: list[Row]) -> str | None:
    """Name the one mistake that explains which rows are missing or too many, if there is one."""
    pairs, expected = [(r[1], r[3]) for r in got], {(r[1], r[3]) for r in right}
    found = set(pairs)
    if len(found) < len(pairs):
        return None
    keys = {row[1]: row[0] for row in big} | {row[1]: row[0] for row in small}
    if found >= expected:
        differing = [(keys.get(i), keys.get(label)) for i, label in found - expected]
        glued = all(
            isinstance(a, str) and isinstance(b, str) and a != b
            and (a.startswith(b) or b.startswith(a))
            for a, b in differing
        )  # fmt: skip
        return "KEYS_GLUED" if differing and glued else None
    if not found <= expected:
        return None
    partners, met = Counter(i for i, _ in expected), Counter(i for i, _ in found)
    if 2 * len(found) < len(expected):
        some_partners = any(0 < met[i] < partners[i] for i in partners)
        return "SALT_BOTH_RANDOM" if some_partners else "SALT_ONE_SIDE"
    lost = {i for i, n in partners.items() if met[i] < n}
    whole = {keys[i] for i in partners} - {keys[i] for i in met}
    if all(met[i] == 0 for i in lost) and len({keys[i] for i in lost}) > 1 and not whole:
        return "SALT_OUT_OF_RANGE"
    return None


def test_join_values(student, spark, rng):
    """The join has the rows and columns of the plain one: repeated, missing and null keys, too."""
    texts = {"a": 90, "a1": 40, "a12": 20, "b": 300, "東京": 60, "": 30, "only here": 20, None: 15}
    copies = {"a": 3, "a1": 2, "a12": 1, "b": 3, "東京": 2, "": 1, "only there": 2, None: 2}
    whole = {7: 200, -1: 30, 2**40: 20, 0: 10, None: 5, 71: 10}
    cases = (
        (texts, copies, "string", int(rng.integers(14, 20))),
        (whole, {7: 2, -1: 1, 2**40: 2, 0: 1, None: 1}, "bigint", int(rng.integers(2, 6))),
        ({"a": 20, "b": 5}, {"a": 2, "b": 1}, "string", 1),
        ({}, {"a": 2}, "string", 3),
    )
    for keys, of_small, kind, n in cases:
        big, small = tables(rng, keys, of_small)
        schemas = [schema.replace("key string", f"key {kind}") for schema in (BIG, SMALL)]
        left = spark.frame(schemas[0], mixed(rng, big), partitions=3)
        right_side = spark.frame(schemas[1], mixed(rng, small))
        got = rows_of(student.call("salted_join", left, right_side, "key", n, returns=SparkFrame))
        right = joined(big, small)
        by_pair = lambda row: (str(row[1]), str(row[3]))  # noqa: E731
        if same(sorted(got, key=by_pair), sorted(right, key=by_pair), empty=True):
            continue
        code = why_wrong(got, right, big, small)
        too_often = Counter(map(str, got)) - Counter(map(str, right))
        assert False, blame(
            code, rows=len(got), expected=len(right), n=n,
            because="" if code
            else "Some rows of the join come more often than they should." if too_often
            else "Some rows of the join are missing.",
        )  # fmt: skip


def skewed(rng) -> tuple[list[Row], list[Row]]:
    """A big table of which nine rows of ten have one key, and a small one."""
    letters = rng.permutation(LETTERS).tolist()
    hot, others = letters[0], letters[1:]
    each, more = divmod(OTHER_ROWS, len(others))
    keys = {hot: HOT_ROWS} | {key: each + (i < more) for i, key in enumerate(others)}
    return tables(rng, keys, dict.fromkeys(letters, 1))


def run_join(student, spark, rng, n: int):
    """Join the skewed tables, compare the rows, and return what was read and written."""
    big, small = skewed(rng)
    # All rows of big lie in one partition: its number is no salt.
    left = spark.frame(BIG, mixed(rng, big), partitions=[len(big), 0])
    frame = student.call(
        "salted_join", left, spark.frame(SMALL, mixed(rng, small)), "key", n, returns=SparkFrame
    )
    with spark.watch() as seen:
        got = rows_of(frame)
    read = seen.max_task_shuffle_records
    wrote = sum(stage.shuffle_write_records for stage in seen.by_stage)
    assert same(sorted(got), sorted(joined(big, small))), blame(
        because="Some rows of the join are wrong.", rows=len(got)
    )
    may_write = 2 * (len(big) + n * len(small))
    assert wrote <= may_write, blame("REPLICATE_BIG", wrote=wrote, may_write=may_write)
    assert wrote >= len(big), blame(
        because="The big table was not shuffled: the small one was sent whole to every task.",
        wrote=wrote,
    )  # fmt: skip
    return read


def test_join_spread(student, spark, rng):
    """The rows of the largest key are spread over the tasks of the join."""
    read = run_join(student, spark, rng, SALTS)
    assert read <= MAY_READ, blame(
        "SALT_FROM_KEY" if read >= HOT_ROWS else None,
        because="One task reads {read} rows; {may_read} are allowed.",
        read=read, may_read=MAY_READ,
    )  # fmt: skip


def test_join_price(student, spark, rng):
    """It is the small table that is replicated: the shuffles write few more rows than without."""
    run_join(student, spark, rng, 16)


# ------------------------------------------------------------------------------------------- sums


def root_of_squares(values: list[float]) -> float:
    return math.sqrt(math.fsum(v * v for v in values))


def decibels(values: list[float]) -> float:
    return 10 * math.log10(math.fsum(10 ** (v / 10) for v in values))


KINDS = {"root of squares": root_of_squares, "decibels": decibels}
"""Kinds of sums, worked out here; `spark.aggregate(kind)` makes the same in the sandbox."""


def groups(rows: list[Row]) -> dict[Any, list[float]]:
    by_key: dict[Any, list[float]] = {}
    for key, value in rows:
        by_key.setdefault(key, []).append(value)
    return by_key


def totals_of(frame: SparkFrame) -> list[tuple[Any, float]]:
    names = frame.columns()
    assert sorted(names) == ["key", "total"], blame(
        because="The columns are not key and total.", columns=len(names)
    )
    key, total = names.index("key"), names.index("total")
    rows = [(row[key], row[total]) for row in frame.collect(list[Row])]
    return typed(rows, list[tuple[Any, float]])


def keyed(spark, rows: list[Row], partitions, kind: str = "string"):
    """The DataFrame that `salted_sum` takes."""
    return spark.frame(f"key {kind}, value double", rows, partitions=partitions)


def judge_totals(rows: list[tuple[Any, float]], data: list[Row], kind: str) -> None:
    """Compare totals with those of the values, and name what is wrong with them."""
    got, values = dict(rows), groups(data)
    right = {key: KINDS[kind](v) for key, v in values.items()}
    assert len(rows) == len(got), blame("SALT_NOT_MERGED", rows=len(rows), keys=len(got))
    assert got.keys() == right.keys(), blame(
        because="Some keys are missing from the totals, or there are keys that were not there."
    )
    wrong = [k for k in right if not same(got[k], right[k], rel=1e-9, abs=1e-9)]
    between = kind == "root of squares" and all(
        right[k] < got[k] <= math.fsum(values[k]) * (1 + 1e-9) for k in wrong
    )
    assert not wrong, blame(
        "SUM_INSTEAD" if between else None, because="Some totals are wrong.",
        wrong=len(wrong), keys=len(right),
    )  # fmt: skip


def test_sum_values(student, spark, rng):
    """There is one row for each key, null too, with the given kind of sum of all its values."""
    texts = {"a": 60, "a1": 20, "東京": 15, "": 10, "one": 1, "two": 2, None: 9}
    cases = (
        (texts, "string", "root of squares", int(rng.integers(6, 12))),
        ({3: 40, -5: 8, 2**40: 1, None: 4}, "bigint", "decibels", int(rng.integers(2, 6))),
        ({"a": 12, "b": 3}, "string", "root of squares", 1),
        ({}, "string", "decibels", 4),
    )
    for keys, type_, kind, n in cases:
        data = [(key, float(rng.uniform(1.0, 50.0))) for key, k in keys.items() for _ in range(k)]
        df = keyed(spark, mixed(rng, data), 3, type_)
        frame = student.call("salted_sum", df, spark.aggregate(kind), n, returns=SparkFrame)
        judge_totals(totals_of(frame), data, kind)


def test_sum_spread(student, spark, rng):
    """The rows of the largest key are spread over the tasks of the sum."""
    data = [(key, amount) for key, _, amount in skewed(rng)[0]]
    df = keyed(spark, mixed(rng, data), [len(data), 0])
    add_up = spark.aggregate("root of squares")
    frame = student.call("salted_sum", df, add_up, SALTS, returns=SparkFrame)
    with spark.watch() as seen:
        rows = totals_of(frame)
    read = seen.max_task_shuffle_records
    assert read <= MAY_READ, blame(
        "SALT_FROM_KEY" if read >= HOT_ROWS else None,
        because="One task reads {read} rows; {may_read} are allowed.",
        read=read, may_read=MAY_READ,
    )  # fmt: skip
    # The measurement counts only for a computation that gives the right totals.
    judge_totals(rows, data, "root of squares")


def test_lazy_and_wrong_n(student, spark, rng):
    """The calls start no Spark job, and n below 1 is a ValueError."""
    big, small = tables(rng, {"a": 9, "b": 2}, {"a": 2, "b": 1})
    left, right = spark.frame(BIG, big), spark.frame(SMALL, small)
    df = keyed(spark, [("a", 1.0), ("b", 2.0)], 2)
    add_up = spark.aggregate("root of squares")
    with spark.watch() as seen:
        student.call("salted_join", left, right, "key", 4, returns=SparkFrame)
        student.call("salted_sum", df, add_up, 4, returns=SparkFrame)
    assert seen.jobs == 0, blame(because="The calls ran {jobs} Spark jobs.", jobs=seen.jobs)
    for n in (0, -3):
        for raised in (
            student.refusal("salted_join", left, right, "key", n),
            student.refusal("salted_sum", df, add_up, n),
        ):
            assert "ValueError" in raised, blame(because="An n below 1 should raise ValueError.")
