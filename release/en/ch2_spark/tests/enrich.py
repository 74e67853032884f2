from otter.test_files import test_case

OK_FORMAT = False
name = "enrich"
points = None

RECORDS = [("JP", 12.0), ("??", 3.0), ("DE", 7.5), ("JP", 12.0)]
TABLE = {"JP": "日本", "DE": "Deutschland"}


@test_case(
    name="small example",
    success_message="The small example gives the right names and the right count.",
    failure_message="The small example is wrong. Look at collect() and at bad_count().",
)
def test_small_example(enrich, spark):
    sc = spark.sparkContext
    result = enrich(sc, sc.parallelize(RECORDS, 2), TABLE)
    assert isinstance(result, tuple) and len(result) == 2, (
        "The function should return a tuple of an RDD and a function."
    )
    enriched, bad_count = result
    assert sorted(enriched.collect()) == [("Deutschland", 7.5), ("日本", 12.0), ("日本", 12.0)], (
        "The enriched records differ from the task's example. Equal ones are kept."
    )
    assert bad_count() == 1, "One record has an unknown code."


@test_case(
    name="the count at any time",
    success_message="bad_count() is right before and after the result is computed.",
    failure_message="bad_count() should not depend on how often the result has been computed.",
)
def test_count(enrich, spark):
    sc = spark.sparkContext
    enriched, bad_count = enrich(sc, sc.parallelize(RECORDS, 2), TABLE)
    assert bad_count() == 1, "bad_count() is wrong before the result has been computed."
    enriched.count()
    enriched.count()
    assert bad_count() == 1, "bad_count() is wrong after the result has been computed twice."


@test_case(
    name="lazy",
    success_message="The call starts no Spark job.",
    failure_message="The call should start no Spark job. Is there an action in your function?",
)
def test_lazy(enrich, spark):
    sc = spark.sparkContext
    rdd = sc.parallelize(RECORDS, 2)
    group_before = sc.getLocalProperty("spark.jobGroup.id")
    sc.setJobGroup("enrich public check", "")
    try:
        jobs_before = len(sc.statusTracker().getJobIdsForGroup("enrich public check"))
        enrich(sc, rdd, TABLE)
        sc._jsc.sc().listenerBus().waitUntilEmpty()
        jobs = len(sc.statusTracker().getJobIdsForGroup("enrich public check"))
    finally:
        sc.setLocalProperty("spark.jobGroup.id", group_before)
    assert jobs == jobs_before, "A Spark job ran while your function was called."
