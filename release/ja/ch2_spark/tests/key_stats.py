from otter.test_files import test_case

OK_FORMAT = False
name = "key_stats"
points = None


@test_case(
    name="small example",
    success_message="小さな例で、各キーの個数、合計、最大値が正しく求められています。",
    failure_message="小さな例の結果が正しくありません。手で計算し、collect() の結果と比べてください。",
)
def test_small_example(key_stats, spark):
    pairs = [("oslo", 2.0), ("cairo", 30.5), ("oslo", -4.0)]
    result = key_stats(spark.sparkContext.parallelize(pairs, 2), 2)
    assert hasattr(result, "collect"), (
        "関数はRDDを返す必要があります。return 文はありますか。"
    )
    triples = result.collect()
    assert len(triples) == 2, "各キーについて、ペア (キー, 三つ組) がちょうど一つずつ必要です。"
    assert dict(triples) == {"oslo": (2, -2.0, 2.0), "cairo": (1, 30.5, 30.5)}, (
        "三つ組が課題文の例と違います。成分の順序と型も確かめてください。"
    )


@test_case(
    name="empty input",
    success_message="空のRDDに対して、空の結果が返ります。",
    failure_message="空のRDDに対しては、例外を出さずに空の結果を返す必要があります。",
)
def test_empty(key_stats, spark):
    assert key_stats(spark.sparkContext.parallelize([], 2), 3).collect() == [], (
        "空のRDDに対する結果が空ではありません。"
    )


@test_case(
    name="wrong n",
    success_message="n = 0 のとき、ValueError が送出されます。",
    failure_message="n = 0 のときは、呼び出した時点で ValueError を送出する必要があります。",
)
def test_wrong_n(key_stats, spark):
    rdd = spark.sparkContext.parallelize([("oslo", 2.0)], 1)
    try:
        key_stats(rdd, 0)
    except ValueError:
        return
    raise AssertionError("n = 0 で呼び出しても、ValueError が送出されませんでした。")


@test_case(
    name="partitioner",
    success_message="Sparkは結果のパーティショナを把握しており、パーティション数は n です。",
    failure_message="結果がどう分割されているかを、Sparkが把握している必要があります。result.partitioner を表示してみてください。",
)
def test_partitioner(key_stats, spark):
    result = key_stats(spark.sparkContext.parallelize([("oslo", 2.0), ("cairo", 30.5)], 2), 5)
    assert result.partitioner is not None, "result.partitioner が None です。"
    assert result.partitioner.numPartitions == 5, (
        "パーティショナのパーティション数が n ではありません。"
    )


@test_case(
    name="lazy",
    success_message="呼び出しただけでは、Sparkのジョブは開始されません。",
    failure_message="呼び出しだけでSparkのジョブが開始されてはいけません。関数の中でアクションを実行していませんか。",
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
    assert jobs == jobs_before, "関数の呼び出し中に、Sparkのジョブが実行されました。"
