import tempfile

from otter.test_files import test_case

OK_FORMAT = False
name = "revenue"
points = None


def write_orders(spark):
    """Write six orders of two days; return the path of the table."""
    orders = [
        (1, 7, "JP", 40.0, None, "2026-01-05"),
        (2, 8, "JP", 60.5, "gift", "2026-01-05"),
        (3, 7, None, 75.0, None, "2026-01-05"),
        (4, 9, "FR", 50.0, None, "2026-01-05"),
        (5, 9, "FR", None, None, "2026-01-05"),
        (6, 8, "JP", 99.0, None, "2026-01-06"),
    ]
    columns = (
        "order_id bigint, customer_id bigint, country string, amount double, note string, "
        "day string"
    )
    path = tempfile.mkdtemp() + "/orders"
    spark.createDataFrame(orders, columns).coalesce(1).write.partitionBy("day").parquet(path)
    return path


@test_case(
    name="small example",
    success_message="The small example gives the right revenue for each country.",
    failure_message="The small example is wrong. Work it out by hand, then look at show().",
)
def test_small_example(revenue, spark):
    result = revenue(spark, write_orders(spark), "2026-01-05", 50.0)
    assert hasattr(result, "columns"), (
        "The function should return a DataFrame. Is there a return statement?"
    )
    assert result.columns == ["country", "revenue"], f"The columns are {result.columns}."
    rows = {row.country: row.revenue for row in result.collect()}
    assert "FR" not in rows, "FR has no order of more than 50.0 on that day."
    assert rows == {"JP": 60.5, None: 75.0}, f"The result is {rows}."


@test_case(
    name="no such day",
    success_message="A day that the table does not have gives an empty result.",
    failure_message="A day that the table does not have should give an empty result.",
)
def test_no_such_day(revenue, spark):
    rows = revenue(spark, write_orders(spark), "2025-12-31", 0.0).collect()
    assert rows == [], f"There are {len(rows)} rows."


@test_case(
    name="one file",
    success_message="Only the file of that day is read.",
    failure_message="Of the two files only that of the day should be read.",
)
def test_one_file(revenue, spark):
    result = revenue(spark, write_orders(spark), "2026-01-05", 50.0)
    result.collect()
    leaves = result._jdf.queryExecution().executedPlan().collectLeaves()
    scans = [leaves.apply(i) for i in range(leaves.size())]
    scans = [scan for scan in scans if scan.nodeName().startswith("Scan parquet")]
    assert scans, "The plan of the result reads no Parquet files itself. Look at explain()."
    files = sum(scan.metrics().apply("numFiles").value() for scan in scans)
    assert files == 1, f"{files} files were read."
