"""2.5 `revenue`: a query that reads one day, two columns and the blocks that can matter.

What is read is proven by data that becomes unreadable after the call and before the result is
computed: a result that is right has not touched it. Spark's plan only names why one is not.
"""

from __future__ import annotations

import functools
import math
from typing import Any

from shardwork.grading import Plan, SparkFrame, StudentFault, blame, same


def ddl(**columns: str) -> str:
    """Return columns and their types as Spark SQL writes a schema."""
    return ", ".join(f"{name} {kind}" for name, kind in columns.items())


# Names and types apart: the schema is the task's, and what a grader has in one text is hidden.
DDL = ddl(
    order_id="bigint", customer_id="bigint", country="string", amount="double", note="string",
    day="date",
)  # fmt: skip
COUNTRIES = ["JP", "FR", "BR", "Côte d'Ivoire", "日本", "IN"]
DAYS = [f"2026-01-{day:02d}" for day in range(5, 11)]
FILES = 3
"""Files of each day. In the first of them no amount is above the limit of `at_limit`."""
NEEDED = {"country", "amount"}
WIDE = ["order_id", "customer_id", "note"]
Rows = list[tuple[str | None, float]]
Order = tuple[int, int, str | None, float | None, str | None, str]


def draw(rng, limit: float, *, a_day: int = 60, edges: bool = False) -> list[Order]:
    """Random orders of all days; row i of a day goes to its file i % FILES.

    File 0 of each day has amounts below the limit only, the others have both. With `edges` some
    amounts are exactly the limit, and some amounts and countries are null.
    """
    orders: list[Order] = []
    for day in DAYS:
        for i in range(a_day):
            low = i % FILES == 0 or i % 4 == 1
            amount = float(rng.uniform(0.1, 0.9) * limit if low else limit * rng.uniform(1.1, 5.0))
            country = str(rng.choice(COUNTRIES))
            note = "".join(chr(int(code)) for code in rng.integers(97, 123, size=20))
            number = len(orders)
            if edges and not low and i % 5 == 0:
                amount = limit
            orders.append((
                number, number % 17, None if edges and i % 7 == 2 else country,
                None if edges and i % 11 == 0 else amount, note, day,
            ))  # fmt: skip
    return orders


def expected(orders: list[Order], day: str, limit: float) -> dict[str | None, float]:
    found: dict[str | None, list[float]] = {}
    for _, _, country, amount, _, when in orders:
        if when == day and amount is not None and amount > limit:
            found.setdefault(country, []).append(amount)
    return {country: math.fsum(amounts) for country, amounts in found.items()}


# A sum of n numbers in any order: the error is below n * eps * sum(|x|), far below this.
same_sums = functools.partial(same, rel=1e-9)


def code_of(plan: Plan) -> str | None:
    """Name what keeps the query from reading less, as its plan tells."""
    if plan.caches:
        return "CACHE_BEFORE_FILTER"
    if not plan.scans and plan.has("LocalTableScan", "RDDScan"):
        return "THROUGH_THE_DRIVER"
    if plan.python_nodes:
        return "UDF_PREDICATE"
    scans = [node.scan for node in plan.scans if node.scan]
    if any(name not in NEEDED for scan in scans for name, _ in scan.columns):
        return "SELECT_STAR"
    pushed = [one for scan in scans for one in scan.pushed_filters if "amount" in one.columns]
    asked = [text for scan in scans for text in scan.data_filters if "amount" in text]
    if all(one.kind == "IsNotNull" for one in pushed) and any(
        not text.startswith("isnotnull(") for text in asked
    ):
        return "WRAPPED_COLUMN"
    return None


def keeps_rows(student, spark, day: str, limit: float) -> bool:
    """Whether the function fetches its rows when it is called: they survive the table."""
    path = spark.parquet(DDL, [(1, 1, "JP", 2 * limit, "", day)], partition_by=["day"])
    frame = student.call("revenue", spark.session(), path, day, limit, returns=SparkFrame)
    spark.damage_parquet(path, folders="day=*")
    try:
        return bool(frame.collect(list[tuple[Any, ...]]))
    except StudentFault:
        return False


def check_right_without(student, spark, rng, because: str, damage) -> None:
    """Check that the result is right if data is unreadable that it has no business to read.

    `damage(path, day, limit)` makes it so, between the call and the computation.
    """
    limit, day = float(rng.uniform(20.0, 200.0)), str(rng.choice(DAYS[1:-1]))
    orders = draw(rng, limit)
    path = spark.parquet(DDL, orders, partition_by=["day"], files=FILES)
    frame = student.call("revenue", spark.session(), path, day, limit, returns=SparkFrame)
    plan = frame.plan()
    code = code_of(plan)
    damage(path, day, limit)
    try:
        rows = frame.collect(Rows)
    except StudentFault:
        assert False, blame(code, because="" if code else because)
    check_rows(rows, expected(orders, day, limit))
    if plan.caches or not plan.scans:  # rows that were fetched during the call prove nothing
        assert not keeps_rows(student, spark, day, limit), blame(code or "THROUGH_THE_DRIVER")


def check_rows(rows: Rows, right: dict[str | None, float]) -> None:
    got = dict(rows)
    assert len(got) == len(rows), blame(because="A country came back more than once.")
    assert got.keys() == right.keys(), blame(
        because="Some countries are missing, or there are countries without such an order."
    )
    assert same_sums(got, right), blame(because="The revenue of some countries is wrong.")


def test_values(student, spark, rng):
    """The revenue of every country is right, and so are names and types of the columns."""
    limit = float(rng.uniform(20.0, 200.0))
    orders = draw(rng, limit, edges=True)
    path = spark.parquet(DDL, orders, partition_by=["day"], files=2)
    for day in (str(rng.choice(DAYS[1:])), DAYS[0]):
        frame = student.call("revenue", spark.session(), path, day, limit, returns=SparkFrame)
        schema = frame.schema()
        assert schema == [("country", "string"), ("revenue", "double")], blame(
            because="The columns should be country (string) and revenue (double), in this order."
        )
        check_rows(frame.collect(Rows), expected(orders, day, limit))


def test_nothing_to_count(student, spark, rng):
    """A day without orders, and a limit that no order exceeds, give an empty result."""
    limit = float(rng.uniform(20.0, 200.0))
    path = spark.parquet(DDL, draw(rng, limit, a_day=12), partition_by=["day"])
    for day, least in (("2025-12-31", limit), (DAYS[2], 100 * limit)):
        rows = student.call(
            "revenue", spark.session(), path, day, least, returns=SparkFrame
        ).collect(list[tuple[Any, Any]])
        assert rows == [], blame(because="The result should be empty, with no rows at all.")


def test_one_day(student, spark, rng):
    """Only the files of that day are read."""

    def other_days(path: str, day: str, limit: float) -> None:
        for other in DAYS:
            if other != day:
                spark.damage_parquet(path, folders=f"day={other}")

    because = "Files of other days are read, too."
    check_right_without(student, spark, rng, because, other_days)


def test_needed_columns(student, spark, rng):
    """Of the columns in the files, only those that the result needs are read."""

    def other_columns(path: str, day: str, limit: float) -> None:
        spark.damage_parquet(path, folders="day=*", columns=WIDE)

    because = "Columns are read that the result does not need."
    check_right_without(student, spark, rng, because, other_columns)


def test_condition_in_the_files(student, spark, rng):
    """The condition on the amount reaches the files: blocks that it rules out are not read."""

    def small_amounts(path: str, day: str, limit: float) -> None:
        spark.damage_parquet(path, folders="day=*", outside=("amount", limit, 1e9))

    because = "Blocks of rows are read in which no amount is above the limit."
    check_right_without(student, spark, rng, because, small_amounts)
