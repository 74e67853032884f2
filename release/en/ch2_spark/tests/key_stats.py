from otter.test_files import test_case

OK_FORMAT = False
name = "key_stats"
points = None


@test_case(
    name="small example",
    success_message="The small example gives the right count, sum and maximum for each key.",
    failure_message="The small example is wrong. Work it out by hand, then look at collect().",
)
def test_small_example(key_stats, spark):
    pairs = [("oslo", 2.0), ("cairo", 30.5), ("oslo", -4.0)]
    result = key_stats(spark.sparkContext.parallelize(pairs, 2), 2)
    assert hasattr(result, "collect"), (
        "The function should return an RDD. Is there a return statement?"
    )
    triples = result.collect()
    assert len(triples) == 2, "There should be one pair (key, triple) for each key."
    assert dict(triples) == {"oslo": (2, -2.0, 2.0), "cairo": (1, 30.5, 30.5)}, (
        "A triple differs from the task's example. Look at its order and its types, too."
    )


@test_case(
    name="empty input",
    success_message="An empty RDD gives an empty result.",
    failure_message="An empty RDD should give an empty result, without an exception.",
)
def test_empty(key_stats, spark):
    assert key_stats(spark.sparkContext.parallelize([], 2), 3).collect() == [], (
        "The result of an empty RDD is not empty."
    )


@test_case(
    name="wrong n",
    success_message="n = 0 raises ValueError.",
    failure_message="With n = 0 the call itself should raise ValueError.",
)
def test_wrong_n(key_stats, spark):
    rdd = spark.sparkContext.parallelize([("oslo", 2.0)], 1)
    try:
        key_stats(rdd, 0)
    except ValueError:
        return
    raise AssertionError("The call with n = 0 raised no ValueError.")


@test_case(
    name="partitioner",
    success_message="Spark knows the partitioner of the result, and it has n partitions.",
    failure_message="Spark should know how the result is partitioned: print result.partitioner.",
)
def test_partitioner(key_stats, spark):
    result = key_stats(spark.sparkContext.parallelize([("oslo", 2.0), ("cairo", 30.5)], 2), 5)
    assert result.partitioner is not None, "result.partitioner is None."
    assert result.partitioner.numPartitions == 5, (
        "The number of partitions of the partitioner is not n."
    )


@test_case(
    name="lazy",
    success_message="The call starts no Spark job.",
    failure_message="The call should start no Spark job. Is there an action in your function?",
)
def test_lazy(key_stats, spark):
    sc = spark.sparkContext
    rdd = sc.parallelize([("oslo", 2.0), ("cairo", 30.5)], 2)
    group_before = sc.getLocalProperty("spark.jobGroup.id")
    sc.setJobGroup("key_stats public check", "")
    try:
        jobs_before = len(sc.statusTracker().getJobIdsForGroup("key_stats public check"))
        key_stats(rdd, 2)
        sc._jsc.sc().listenerBus().waitUntilEmpty()
        jobs = len(sc.statusTracker().getJobIdsForGroup("key_stats public check"))
    finally:
        sc.setLocalProperty("spark.jobGroup.id", group_before)
    assert jobs == jobs_before, "A Spark job ran while your function was called."
