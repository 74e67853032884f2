from otter.test_files import test_case

OK_FORMAT = False
name = "salted_join"
points = None


@test_case(
    name="join",
    success_message="小さな結合の行と列は正しいです。",
    failure_message="小さな結合が big.join(small, key) と異なります。二つを見比べてください。",
)
def test_join(salted_join, spark):
    big = spark.createDataFrame(
        [("oslo", 1), ("oslo", 2), ("oslo", 3), ("cairo", 4), ("lima", 5)], "city string, id int"
    )
    small = spark.createDataFrame(
        [("oslo", "north"), ("oslo", "fjord"), ("cairo", "nile"), ("quito", "andes")],
        "city string, label string",
    )
    result = salted_join(big, small, "city", 4)
    assert hasattr(result, "collect"), (
        "salted_join は DataFrame を返す必要があります。return 文はありますか。"
    )
    plain = big.join(small, "city")
    assert sorted(result.columns) == sorted(plain.columns), (
        "結果の列が big.join(small, key) の列と異なります。"
    )
    rows = sorted(tuple(row) for row in result.select(plain.columns).collect())
    assert len(rows) == plain.count(), "結果の行数が正しくありません。"
    assert rows == sorted(tuple(row) for row in plain.collect()), "正しくない行があります。"


@test_case(
    name="sum",
    success_message="小さな集約の値は正しいです。",
    failure_message="小さな集約が、add_up による groupBy と異なります。",
)
def test_sum(salted_sum, spark):
    import pandas as pd
    from pyspark.sql import functions as F

    @F.pandas_udf("double")
    def root_of_squares(values: pd.Series) -> float:
        return float((values**2).sum() ** 0.5)

    df = spark.createDataFrame(
        [("a", 3.0), ("a", 4.0), ("b", 2.0), ("a", 12.0)], "key string, value double"
    )
    result = salted_sum(df, root_of_squares, 4)
    assert hasattr(result, "collect"), (
        "salted_sum は DataFrame を返す必要があります。return 文はありますか。"
    )
    assert sorted(result.columns) == ["key", "total"], (
        "結果には列 key と列 total が必要です。"
    )
    rows = [(row["key"], row["total"]) for row in result.collect()]
    assert len(rows) == 2, "結果は、キーごとに1行でなければなりません。"
    plain = df.groupBy("key").agg(root_of_squares("value").alias("total")).collect()
    totals = dict(rows)
    assert all(abs(totals[row["key"]] - row["total"]) < 1e-9 for row in plain), (
        "total が、そのキーのすべての値に対する add_up と異なるものがあります。"
    )


@test_case(
    name="wrong n",
    success_message="n = 0 のとき、どちらの関数でも ValueError が送出されます。",
    failure_message="n = 0 のときは、呼び出した時点で ValueError を送出する必要があります。",
)
def test_wrong_n(salted_join, salted_sum, spark):
    from pyspark.sql import functions as F

    big = spark.createDataFrame([("oslo", 1)], "city string, id int")
    small = spark.createDataFrame([("oslo", "north")], "city string, label string")
    df = spark.createDataFrame([("a", 3.0)], "key string, value double")
    for call in (
        lambda: salted_join(big, small, "city", 0),
        lambda: salted_sum(df, F.sum, 0),
    ):
        try:
            call()
        except ValueError:
            continue
        raise AssertionError("n = 0 で呼び出しても ValueError を送出しない関数があります。")


@test_case(
    name="lazy",
    success_message="呼び出しただけでは、Sparkのジョブは開始されません。",
    failure_message="呼び出しだけでSparkのジョブが開始されてはいけません。関数の中でアクションを実行していませんか。",
)
def test_lazy(salted_join, salted_sum, spark):
    from pyspark.sql import functions as F

    big = spark.createDataFrame([("oslo", 1)], "city string, id int")
    small = spark.createDataFrame([("oslo", "north")], "city string, label string")
    df = spark.createDataFrame([("a", 3.0)], "key string, value double")
    sc = spark.sparkContext
    group_before = sc.getLocalProperty("spark.jobGroup.id")
    sc.setJobGroup("salted_join public check", "")
    try:
        jobs_before = len(sc.statusTracker().getJobIdsForGroup("salted_join public check"))
        salted_join(big, small, "city", 3)
        salted_sum(df, F.sum, 3)
        sc._jsc.sc().listenerBus().waitUntilEmpty()
        jobs = len(sc.statusTracker().getJobIdsForGroup("salted_join public check"))
    finally:
        sc.setLocalProperty("spark.jobGroup.id", group_before)
    assert jobs == jobs_before, "関数の呼び出し中に、Sparkのジョブが実行されました。"
