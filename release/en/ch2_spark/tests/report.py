from otter.test_files import test_case

OK_FORMAT = False
name = "report"
points = None

THRESHOLD = "spark.sql.autoBroadcastJoinThreshold"


def small(report, spark):
    """Make the report of five orders, as the task is judged: nothing is broadcast by itself."""
    rdd = spark.sparkContext.parallelize
    orders = spark.createDataFrame(
        rdd([(1, 7, 5.0), (2, 8, 6.0), (3, 7, 7.5), (4, None, 1.0), (5, 99, 2.0)], 2),
        "order_id bigint, customer_id bigint, amount double",
    )
    customers = spark.createDataFrame(
        rdd([(7, "Ada", "GB", 1), (8, "Hana", "JP", 2), (8, "Hanna", "JP", 1)], 2),
        "customer_id bigint, name string, country string, version int",
    )
    countries = spark.createDataFrame(
        rdd([("JP", "Japan", 1), ("FR", "France", 1)], 2),
        "country string, label string, version int",
    )
    return report(orders, customers, countries)


@test_case(
    name="every order once",
    success_message="Every order of the small example is there exactly once.",
    failure_message="Each of the five orders of the small example should be there exactly once.",
)
def test_orders(report, spark):
    result = small(report, spark)
    assert hasattr(result, "columns"), (
        "The function should return a DataFrame. Is there a return statement?"
    )
    assert result.columns == ["order_id", "amount", "name", "label"], (
        f"The columns are {result.columns}."
    )
    numbers = sorted(row.order_id for row in result.collect())
    assert numbers == [1, 2, 3, 4, 5], f"The orders in the result are {numbers}."


@test_case(
    name="names and labels",
    success_message="Names and labels of the small example are right.",
    failure_message="Some name or label of the small example is wrong. Work it out by hand.",
)
def test_names(report, spark):
    rows = {row.order_id: (row.name, row.label) for row in small(report, spark).collect()}
    assert rows[2] == ("Hana", "Japan"), f"Order 2 has {rows[2]}."
    assert rows[1] == ("Ada", None), f"Order 1 has {rows[1]}."
    assert rows[4] == (None, None), f"Order 4 has {rows[4]}."


@test_case(
    name="kinds of join",
    success_message="The plan has a broadcast hash join and no nested loop.",
    failure_message="The plan should join the countries by a broadcast. Look at explain().",
)
def test_kinds(report, spark):
    before = spark.conf.get(THRESHOLD)
    spark.conf.set(THRESHOLD, "-1")
    try:
        plan = small(report, spark)._jdf.queryExecution().executedPlan().toString()
    finally:
        spark.conf.set(THRESHOLD, before)
    assert "BroadcastHashJoin" in plan, "There is no BroadcastHashJoin in the plan."
    for node in ("BroadcastNestedLoopJoin", "CartesianProduct"):
        assert node not in plan, f"The plan has a node {node}."
