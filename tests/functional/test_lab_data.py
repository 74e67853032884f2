"""The made-up data as Spark's own objects: schema, partitions, and the same rows by every road."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from shardwork import lab
from shardwork.probes.spark import activity as probe

pytestmark = [pytest.mark.functional, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    yield lab.spark()
    lab.stop()


@pytest.fixture(params=["orders", "customers", "countries", "clicks", "links"])
def table(request: Any) -> lab.Table:
    made: lab.Table = getattr(lab, request.param)(dirty=True)
    return made


def test_a_frame_has_the_declared_schema_and_partitions(spark: Any, table: lab.Table) -> None:
    for partitions in (1, 6):
        frame = table.spark(spark, partitions)
        assert frame.schema == table.schema.spark()
        assert frame.rdd.getNumPartitions() == partitions
        assert frame.rdd.map(lambda _: 1).count() == len(table)
    assert table.spark(spark).schema == table.schema.spark()


def test_the_rows_are_the_same_by_every_road(spark: Any, table: lab.Table) -> None:
    by_arrow = [tuple(row) for row in table.spark(spark).collect()]
    assert by_arrow == [tuple(row) for row in table.spark(spark, 3).collect()]
    assert table.rdd(spark.sparkContext, 3).collect() == table.rows()
    times = [column.name for column in table.schema.columns if column.type == "timestamp"]
    if not times:  # Spark returns times in the time zone of the machine
        assert by_arrow == table.rows()


def test_times_are_utc_for_spark(spark: Any) -> None:
    clicks = lab.clicks()
    for frame in (clicks.spark(spark), clicks.spark(spark, 2)):
        text = frame.selectExpr("date_format(time, 'yyyy-MM-dd HH:mm:ss')").first()[0]
        assert text == str(clicks.columns["time"][0].astype("datetime64[s]")).replace("T", " ")


def test_making_a_frame_starts_no_job(spark: Any, table: lab.Table) -> None:
    before = probe.mark()
    table.spark(spark)
    table.spark(spark, 4)
    assert probe.mark() == before


def test_a_frame_has_no_shuffle_and_without_partitions_no_python_in_its_plan(spark: Any) -> None:
    def plan(frame: Any) -> str:
        return str(frame._jdf.queryExecution().executedPlan().toString())

    assert "LocalTableScan" in plan(lab.orders().spark(spark))
    assert "Exchange" not in plan(lab.orders().spark(spark, 6))
