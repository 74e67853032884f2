from otter.test_files import test_case

OK_FORMAT = False
name = "enrich"
points = None

RECORDS = [("JP", 12.0), ("??", 3.0), ("DE", 7.5), ("JP", 12.0)]
TABLE = {"JP": "日本", "DE": "Deutschland"}


@test_case(
    name="small example",
    success_message="小さな例で、名前も個数も正しく求められています。",
    failure_message="小さな例の結果が正しくありません。collect() と bad_count() の結果を見てください。",
)
def test_small_example(enrich, spark):
    sc = spark.sparkContext
    result = enrich(sc, sc.parallelize(RECORDS, 2), TABLE)
    assert isinstance(result, tuple) and len(result) == 2, (
        "関数は、RDDと関数のタプルを返す必要があります。"
    )
    enriched, bad_count = result
    assert sorted(enriched.collect()) == [("Deutschland", 7.5), ("日本", 12.0), ("日本", 12.0)], (
        "置き換えたレコードが課題文の例と違います。等しいレコードはすべて残します。"
    )
    assert bad_count() == 1, "コードが未知のレコードは1件です。"


@test_case(
    name="the count at any time",
    success_message="結果を計算する前も後も、bad_count() は正しい値を返します。",
    failure_message="bad_count() の値が、結果を何回計算したかによって変わってはいけません。",
)
def test_count(enrich, spark):
    sc = spark.sparkContext
    enriched, bad_count = enrich(sc, sc.parallelize(RECORDS, 2), TABLE)
    assert bad_count() == 1, "結果を計算する前の bad_count() が正しくありません。"
    enriched.count()
    enriched.count()
    assert bad_count() == 1, "結果を2回計算した後の bad_count() が正しくありません。"


@test_case(
    name="lazy",
    success_message="呼び出しただけでは、Sparkのジョブは開始されません。",
    failure_message="呼び出しだけでSparkのジョブが開始されてはいけません。関数の中でアクションを実行していませんか。",
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
    assert jobs == jobs_before, "関数の呼び出し中に、Sparkのジョブが実行されました。"
