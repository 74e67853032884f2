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
    success_message="小さな例のどの注文も、ちょうど1回現れます。",
    failure_message="小さな例の五つの注文は、それぞれちょうど1回現れなければなりません。",
)
def test_orders(report, spark):
    result = small(report, spark)
    assert hasattr(result, "columns"), (
        "関数はDataFrameを返す必要があります。return文はありますか。"
    )
    assert result.columns == ["order_id", "amount", "name", "label"], (
        f'列は {result.columns} です。'
    )
    numbers = sorted(row.order_id for row in result.collect())
    assert numbers == [1, 2, 3, 4, 5], f'結果にある注文は {numbers} です。'


@test_case(
    name="names and labels",
    success_message="小さな例の名前と表示名は正しいです。",
    failure_message="小さな例の名前か表示名に誤りがあります。手で確かめてください。",
)
def test_names(report, spark):
    rows = {row.order_id: (row.name, row.label) for row in small(report, spark).collect()}
    assert rows[2] == ("Hana", "Japan"), f'注文2は {rows[2]} になっています。'
    assert rows[1] == ("Ada", None), f'注文1は {rows[1]} になっています。'
    assert rows[4] == (None, None), f'注文4は {rows[4]} になっています。'


@test_case(
    name="kinds of join",
    success_message="実行計画にはブロードキャストハッシュ結合があり、入れ子ループはありません。",
    failure_message="実行計画では、countriesはブロードキャストで結合される必要があります。explain() の出力を見てください。",
)
def test_kinds(report, spark):
    before = spark.conf.get(THRESHOLD)
    spark.conf.set(THRESHOLD, "-1")
    try:
        plan = small(report, spark)._jdf.queryExecution().executedPlan().toString()
    finally:
        spark.conf.set(THRESHOLD, before)
    assert "BroadcastHashJoin" in plan, "実行計画に BroadcastHashJoin がありません。"
    for node in ("BroadcastNestedLoopJoin", "CartesianProduct"):
        assert node not in plan, f'実行計画に {node} というノードがあります。'
