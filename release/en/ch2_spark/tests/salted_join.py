from otter.test_files import test_case

OK_FORMAT = False
name = "salted_join"
points = None


@test_case(
    name="join",
    success_message="The small join has the right rows and columns.",
    failure_message="The small join differs from big.join(small, key). Compare the two by eye.",
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
        "salted_join should return a DataFrame. Is there a return statement?"
    )
    plain = big.join(small, "city")
    assert sorted(result.columns) == sorted(plain.columns), (
        "The result does not have the columns of big.join(small, key)."
    )
    rows = sorted(tuple(row) for row in result.select(plain.columns).collect())
    assert len(rows) == plain.count(), "The result does not have as many rows as it should."
    assert rows == sorted(tuple(row) for row in plain.collect()), "Some rows are wrong."


@test_case(
    name="sum",
    success_message="The small sum has the right totals.",
    failure_message="The small sum differs from a groupBy with add_up.",
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
        "salted_sum should return a DataFrame. Is there a return statement?"
    )
    assert sorted(result.columns) == ["key", "total"], (
        "The result should have the columns key and total."
    )
    rows = [(row["key"], row["total"]) for row in result.collect()]
    assert len(rows) == 2, "The result should have one row for each key."
    plain = df.groupBy("key").agg(root_of_squares("value").alias("total")).collect()
    totals = dict(rows)
    assert all(abs(totals[row["key"]] - row["total"]) < 1e-9 for row in plain), (
        "Some total differs from add_up of all values of its key."
    )


@test_case(
    name="wrong n",
    success_message="n = 0 raises ValueError in both functions.",
    failure_message="With n = 0 the call itself should raise ValueError.",
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
        raise AssertionError("A call with n = 0 raised no ValueError.")


@test_case(
    name="lazy",
    success_message="The calls start no Spark job.",
    failure_message="The calls should start no Spark job. Is there an action in your functions?",
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
    assert jobs == jobs_before, "A Spark job ran while your functions were called."
