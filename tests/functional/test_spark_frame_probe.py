"""DataFrames in the Spark probe: cells, inputs, settings, and what plans of pyspark 4.3 tell."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from shardwork import lab
from shardwork.judge.observed import typed
from shardwork.judge.spark import Plan, PlanNode
from shardwork.lab.spark_session import scratch_folder
from shardwork.probes.server import find_question
from shardwork.probes.spark import activity, frame, session
from shardwork.probes.spark import plan as plans

pytestmark = [pytest.mark.functional, pytest.mark.filterwarnings("default")]

DDL = (
    "k string, price decimal(10,2), day date, at timestamp, wall timestamp_ntz, list array<date>, "
    "map map<string,decimal(4,1)>, pair struct<x:int,y:date>, raw binary, f double, none int"
)
ROW = (
    "naïve 東京", "-1.50", "2026-11-28", "2026-11-28 09:30:00.250000", "2026-03-29 02:30:00",
    ["2026-01-01", None], {"a": "0.5"}, (1, "2026-02-02"), b"\x00q", float("inf"), None,
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _session() -> Iterator[None]:
    lab.spark()
    yield
    lab.stop()


def numbers(partitions: int = 2) -> Any:
    """Rows (k, n): ten keys, n from 0 to 39."""
    rows = [(f"k{n % 10}", n) for n in range(40)]
    return frame.make_frame("k string, n int", [rows[p::partitions] for p in range(partitions)])


def names() -> Any:
    return frame.make_frame("k string, name string", [[("k1", "one"), ("k2", "two")]])


def plan_of(df: Any, *, into_cache: bool = False) -> Plan:
    return typed(plans.plan(df, into_cache), Plan)


def one(nodes: list[PlanNode]) -> PlanNode:
    (node,) = nodes
    return node


# Cells


def test_cells_of_every_kind_come_back_as_they_went_in() -> None:
    empty = (None,) * len(ROW)
    made = frame.make_frame(DDL, [[ROW], [empty]])
    assert frame.rows(made) == [ROW, empty]


def test_cells_inside_spark_are_what_their_texts_say() -> None:
    """A timestamp is a moment in UTC, whatever time zone the Python process has."""
    (row,) = frame.make_frame(DDL, [[ROW]]).collect()
    assert (row.price, row.day) == (Decimal("-1.50"), date(2026, 11, 28))
    assert row["at"].astimezone(UTC) == datetime(2026, 11, 28, 9, 30, 0, 250000, UTC)
    assert row.wall == datetime(2026, 3, 29, 2, 30)
    as_text = frame.make_frame(DDL, [[ROW]]).selectExpr("string(at)", "string(wall)").first()
    assert tuple(as_text) == ("2026-11-28 09:30:00.25", "2026-03-29 02:30:00")


def test_a_decimal_without_a_value_has_no_exponent() -> None:
    made = lab.spark().sql("select cast(0 as decimal(38,18)) d")
    assert frame.rows(made) == [("0.000000000000000000",)]


def test_a_vector_travels_as_its_numbers() -> None:
    from pyspark.ml.linalg import Vectors

    made = lab.spark().createDataFrame([(Vectors.sparse(3, [1], [2.5]),)], ["v"])
    assert frame.rows(made) == [([0.0, 2.5, 0.0],)]


# Inputs


def test_a_frame_has_exactly_the_partitions_that_were_asked_for() -> None:
    parts = [[("a", 1), ("b", 2)], [], [("c", 3)]]
    made = frame.make_frame("k string, n int", parts)
    before = activity.mark()
    assert frame.num_partitions(made) == 3
    assert frame.schema(made) == [("k", "string"), ("n", "int")]
    assert activity.since(before)["jobs"] == 0
    assert frame.frame_partitions(made) == parts


def test_a_sort_makes_the_number_of_partitions_cost_a_job() -> None:
    before = activity.mark()
    frame.num_partitions(numbers().orderBy("n"))
    assert activity.since(before)["jobs"] == 1


def test_a_table_has_so_many_files_in_each_folder() -> None:
    rows = [(n, f"2026-01-0{n % 3 + 1}") for n in range(12)] + [(99, "2026-01-09")]
    path = Path(frame.make_parquet("n int, day date", rows, ["day"], 2))
    files = [one_file.parent.name for one_file in path.rglob("*.parquet")]
    full = [f"day=2026-01-0{n}" for n in (1, 2, 3)]
    assert sorted(files) == sorted([*full, *full, "day=2026-01-09"])
    read = lab.spark().read.parquet(str(path))
    assert frame.schema(read) == [("n", "int"), ("day", "date")]
    assert sorted(frame.rows(read)) == sorted(rows)


def test_a_table_lies_in_the_sessions_own_folder() -> None:
    path = Path(frame.make_parquet("n int", [(1,)], [], 1))
    assert scratch_folder() in path.parents
    assert len(list(path.glob("*.parquet"))) == 1


def test_what_is_damaged_cannot_be_read_and_the_rest_can() -> None:
    """Of two files in a folder the first holds n < 100, the second n >= 100."""
    rows = [(n + 100 * odd, "text", "day 1") for n in range(50) for odd in (0, 1)]
    rows += [(n, "text", "day 2") for n in range(100)]
    path = frame.make_parquet("n int, note string, day string", rows, ["day"], 2)
    frame.damage_parquet(path, "day=day 2", None, None)
    frame.damage_parquet(path, "day=day 1", ["note"], None)
    frame.damage_parquet(path, "day=day 1", None, ["n", 100, 1000])
    table = lab.spark().read.parquet(path)
    readable = table.filter("day = 'day 1' and n >= 100").select("n")
    assert len(frame.rows(readable)) == 50
    for unreadable in (
        # the other day's largest n is 99: asked for 100, Spark would leave it out by its footers
        table.filter("n >= 50").select("n"),
        table.filter("day = 'day 1' and n >= 100"),
        table.filter("day = 'day 1' and abs(n) >= 100").select("n"),
    ):
        with pytest.raises(Exception, match=r"FAILED_READ_FILE|Parquet"):
            frame.rows(unreadable)


def test_a_setting_is_restored_to_what_it_was_or_to_its_default() -> None:
    conf = lab.spark().conf
    default = conf.get("spark.sql.autoBroadcastJoinThreshold")
    assert session.set_conf("spark.sql.adaptive.enabled", "true") == "false"
    assert session.set_conf("spark.sql.adaptive.enabled", "false") == "true"
    assert session.set_conf("spark.sql.autoBroadcastJoinThreshold", "-1") is None
    assert session.set_conf("spark.sql.autoBroadcastJoinThreshold", None) == "-1"
    assert conf.get("spark.sql.autoBroadcastJoinThreshold") == default


def test_session_and_context_are_the_notebooks() -> None:
    assert find_question("spark.session")() is lab.spark()
    assert find_question("spark.context")() is lab.spark().sparkContext


# Plans


def test_asking_for_a_plan_runs_nothing() -> None:
    sorted_join = numbers().join(names(), "k").orderBy("n")
    before = activity.mark()
    plan_of(sorted_join)
    assert activity.since(before)["jobs"] == 0


@pytest.mark.parametrize(
    ("make", "origin", "partitioning", "keys", "number"),
    [
        (lambda df: df.groupBy("k").count(), "ENSURE_REQUIREMENTS", "HashPartitioning", ("k",), 4),
        (lambda df: df.repartition(7, "k"), "REPARTITION_BY_NUM", "HashPartitioning", ("k",), 7),
        (lambda df: df.repartition("k"), "REPARTITION_BY_COL", "HashPartitioning", ("k",), 4),
        (lambda df: df.repartition(5), "REPARTITION_BY_NUM", "RoundRobinPartitioning", (), 5),
        (lambda df: df.orderBy("n"), "ENSURE_REQUIREMENTS", "RangePartitioning", (), 4),
        (lambda df: df.groupBy().count(), "ENSURE_REQUIREMENTS", "SinglePartition", (), 1),
    ],
)
def test_a_shuffle_says_who_wanted_it_and_where_rows_go(
    make: Any, origin: str, partitioning: str, keys: tuple[str, ...], number: int
) -> None:
    exchange = one(plan_of(make(numbers())).exchanges).exchange
    assert exchange is not None
    assert (exchange.origin, exchange.partitioning) == (origin, partitioning)
    assert (exchange.keys, exchange.num_partitions) == (keys, number)


def test_a_join_has_its_kind_its_type_and_the_side_that_is_built() -> None:
    from pyspark.sql import functions as F

    big, small = numbers(), names()
    found = {
        "broadcast": big.join(F.broadcast(small), "k", "left"),
        "broadcast left": F.broadcast(small).join(big, "k"),
        "plain": big.join(small, "k"),  # an RDD's size is unknown: never broadcast unasked
        "hash": big.join(small.hint("shuffle_hash"), "k"),
        "cross": big.join(small, how="cross"),
        "loop": big.join(F.broadcast(small), big.n > F.length(small.name), "left"),
        "semi": big.join(small, "k", "left_semi"),
    }
    joins = {name: one(plan_of(df).joins) for name, df in found.items()}
    assert {
        name: (node.kind, node.join and node.join.type, node.join and node.join.build_side)
        for name, node in joins.items()
    } == {
        "broadcast": ("BroadcastHashJoin", "LeftOuter", "right"),
        "broadcast left": ("BroadcastHashJoin", "Inner", "left"),
        "plain": ("SortMergeJoin", "Inner", None),
        "hash": ("ShuffledHashJoin", "Inner", "right"),
        "cross": ("CartesianProduct", "Inner", None),
        "loop": ("BroadcastNestedLoopJoin", "LeftOuter", "right"),
        "semi": ("SortMergeJoin", "LeftSemi", None),
    }
    assert joins["plain"].join is not None and joins["plain"].join.left_keys == ("k",)


def test_a_scan_says_what_it_reads_and_after_a_run_how_much() -> None:
    rows = [(f"2026-01-0{n % 4 + 1}", n, float(n), f"note {n}") for n in range(40)]
    ddl = "day date, n int, price double, note string"
    table = lab.spark().read.parquet(frame.make_parquet(ddl, rows, ["day"], 2))
    query = table.filter("day = '2026-01-02' and price > 10 and upper(note) <> 'X'").select("n")
    node = one(plan_of(query).scans)
    scan = node.scan
    assert scan is not None
    assert (scan.format, node.metrics["numFiles"]) == ("Parquet", 0)
    assert scan.columns == (("n", "int"), ("price", "double"), ("note", "string"))
    assert "(day = 2026-01-02)" in scan.partition_filters
    pushed = {(one_filter.kind, one_filter.columns) for one_filter in scan.pushed_filters}
    assert pushed == {
        ("IsNotNull", ("price",)), ("IsNotNull", ("note",)), ("GreaterThan", ("price",)),
    }  # fmt: skip
    assert len(frame.rows(query)) == 7  # n = 13, 17, ..., 37
    ran = one(plan_of(query).scans)
    assert (ran.metrics["numFiles"], ran.metrics["numOutputRows"]) == (2, 10)


def test_every_way_into_python_is_seen_with_its_type() -> None:
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    def mean_of(column):  # type: ignore[no-untyped-def]
        return float(column.mean())

    # pyspark reads the kind of a pandas UDF off annotations, which are texts in this module
    mean_of.__annotations__ = {"column": pd.Series, "return": float}
    plus = F.pandas_udf(lambda column: column + 1, "int", F.PandasUDFType.SCALAR)
    mean = F.pandas_udf(mean_of, "double")
    df = numbers()
    found = {
        "udf": df.select(F.udf(lambda n: n, "int")("n")),
        "pickled udf": df.select(F.udf(lambda n: n, "int", useArrow=False)("n")),
        "pandas_udf": df.select(plus("n")),
        "mapInPandas": df.mapInPandas(lambda it: it, df.schema),
        "mapInArrow": df.mapInArrow(lambda it: it, df.schema),
        "applyInPandas": df.groupBy("k").applyInPandas(lambda pdf: pdf, df.schema),
        "aggregate": df.groupBy("k").agg(mean("n")),
        "window": df.select(mean("n").over(Window.partitionBy("k"))),
    }
    python = {name: one(plan_of(df).python_nodes) for name, df in found.items()}
    assert {
        name: (node.kind, node.python and node.python.eval_type) for name, node in python.items()
    } == {
        "udf": ("ArrowEvalPython", 101),
        "pickled udf": ("BatchEvalPython", 100),
        "pandas_udf": ("ArrowEvalPython", 200),
        "mapInPandas": ("MapInPandas", 205),
        "mapInArrow": ("MapInArrow", 207),
        "applyInPandas": ("FlatMapGroupsInPandas", 201),
        "aggregate": ("ArrowAggregatePython", 202),
        "window": ("ArrowWindowPython", 203),
    }  # fmt: skip
    assert plan_of(df.selectExpr("n + 1")).python_nodes == []


def test_rows_that_went_through_an_rdd_are_told_from_the_input() -> None:
    df = numbers()
    same_input = df.join(names(), "k").filter("n > 1")
    through = df.rdd.map(lambda row: (row.k, row.n)).toDF("k string, n int")
    given = [plan_of(df), plan_of(names())]
    assert len(plan_of(same_input).new_rdds(given[0])) == 1  # that of `names`
    assert plan_of(df.union(df).filter("n > 1")).new_rdds(*given) == []
    assert len(plan_of(through).new_rdds(*given)) == 1


def test_what_is_reused_is_listed_once_and_a_subquery_is_walked() -> None:
    sums = numbers().groupBy("k").sum("n").toDF("k", "s")
    twice = plan_of(sums.join(sums.toDF("k", "t"), "k"))
    assert twice.has("ReusedExchange")
    assert len(twice.exchanges) == 1
    assert sum(node.exchange is not None for node in twice.nodes) == 2
    numbers().createOrReplaceTempView("numbers")
    query = lab.spark().sql("select k from numbers where n > (select avg(n) from numbers)")
    assert [node.subquery for node in plan_of(query).exchanges] == [True]


def test_adaptive_plans_are_walked_before_and_after_they_ran() -> None:
    session.set_conf("spark.sql.adaptive.enabled", "true")
    try:
        joined = numbers().groupBy("k").count().join(names(), "k")
        before = plan_of(joined)
        assert before.adaptive
        assert (len(before.exchanges), one(before.joins).kind) == (2, "SortMergeJoin")
        frame.rows(joined)
        after = plan_of(joined)
        # the small side is broadcast, now that its size is known
        assert one(after.joins).kind == "BroadcastHashJoin"
        assert after.has("AQEShuffleRead")
        assert not after.has("AdaptiveSparkPlan", "ShuffleQueryStage", "ResultQueryStage")
    finally:
        session.set_conf("spark.sql.adaptive.enabled", "false")
    assert not plan_of(numbers()).adaptive


def test_a_cached_relation_hides_its_plan_unless_asked() -> None:
    counted = numbers().groupBy("k").count().cache()
    try:
        later = counted.filter("count > 1")
        assert [node.kind for node in plan_of(later).caches] == ["InMemoryTableScan"]
        assert plan_of(later).exchanges == []
        deep = plan_of(later, into_cache=True)
        assert [node.cached for node in deep.exchanges] == [True]
    finally:
        counted.unpersist(True)


def test_the_optimised_plan_tells_whether_a_filter_is_below_a_projection() -> None:
    from pyspark.sql import functions as F

    table = numbers()
    pushed = plan_of(table.selectExpr("upper(k) as k", "n").filter("n > 3"))
    project, filtered = pushed.optimised[:2]
    assert (project.kind, filtered.kind) == ("Project", "Filter")
    assert pushed.is_below(filtered, project) and not pushed.is_below(project, filtered)
    held = plan_of(table.select(F.udf(lambda n: n, "int")("n").alias("n")).filter("n > 3"))
    # Spark calls the function below the filter (and once more for what passed)
    upper = next(node for node in held.optimised if node.kind == "Filter")
    below = [node for node in held.optimised if held.is_below(node, upper)]
    assert "ArrowEvalPython" in [node.kind for node in below]


def test_aggregates_windows_and_sorts_have_their_keys() -> None:
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    grouped = plan_of(numbers().groupBy("k").count())
    assert [node.keys for node in grouped.aggregates] == [("k",), ("k",)]
    ranked = plan_of(numbers().withColumn("r", F.rank().over(Window.partitionBy("k").orderBy("n"))))
    assert [node.keys for node in ranked.windows] == [("k",)]
    assert [node.total_order for node in ranked.sorts] == [False]
    assert [node.total_order for node in plan_of(numbers().orderBy("n")).sorts] == [True]
    top = plan_of(numbers().orderBy("n").limit(3))
    assert top.has("TakeOrderedAndProject") and not top.exchanges


def test_a_plan_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "MAX_NODES", 3)
    with pytest.raises(ValueError, match="more than 3 nodes"):
        plans.plan(numbers().groupBy("k").count(), False)
