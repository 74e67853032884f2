from otter.test_files import test_case

OK_FORMAT = False
name = "pagerank"
points = None


@test_case(
    name="small example",
    success_message="小さな例で、課題文のとおりのランクが求められています。",
    failure_message="小さな例の結果が正しくありません。式を使って一歩を手で計算してみてください。",
)
def test_small_example(pagerank, spark):
    links = spark.sparkContext.parallelize([("a", "b"), ("b", "a"), ("a", "c")], 2)
    result = pagerank(links, 1, 2)
    assert hasattr(result, "collect"), (
        "関数はRDDを返す必要があります。return 文はありますか。"
    )
    ranks = result.collect()
    assert sorted(page for page, _ in ranks) == ["a", "b", "c"], (
        "結果には、ページ a、b、c がちょうど一度ずつ必要です。"
    )
    rounded = {page: round(rank, 4) for page, rank in ranks}
    assert rounded == {"a": 0.4278, "b": 0.2861, "c": 0.2861}, (
        "ランクが課題文の例と違います。"
    )
    result.unpersist()


@test_case(
    name="two steps",
    success_message="二歩進んだ後、ランクの合計は1で、何も残されていません。",
    failure_message="二歩進んだ後、ランクの合計は1でなければならず、何も残っていてはいけません。",
)
def test_two_steps(pagerank, spark):
    sc = spark.sparkContext
    before = set(sc._jsc.getPersistentRDDs())
    pairs = [("home", "news"), ("news", "home"), ("home", "end"), ("new", "home"), ("news", "end")]
    result = pagerank(sc.parallelize(pairs, 1), 2, 1)
    left = set(sc._jsc.getPersistentRDDs()) - before
    assert left <= {result.id()}, "結果以外のRDDが、まだ永続化されたままです。"
    assert abs(sum(rank for _, rank in result.collect()) - 1) < 1e-9, (
        "二歩進んだ後、ランクの合計が1になっていません。どのランクが、誰にも渡されていないのでしょうか。"
    )
    result.unpersist()


@test_case(
    name="edge cases",
    success_message="歩数が0の場合、リンクがない場合、引数が不正な場合が、正しく扱われています。",
    failure_message="iters = 0 の場合、空のRDDの場合、docstringにあるエラーの場合を確かめてください。",
)
def test_edges(pagerank, spark):
    sc = spark.sparkContext
    pairs = sc.parallelize([("a", "b"), ("b", "a")], 1)
    start, empty = pagerank(pairs, 0, 2), pagerank(sc.parallelize([], 1), 1, 1)
    assert sorted(start.collect()) == [("a", 0.5), ("b", 0.5)], (
        "iters = 0 のときは、どのページのランクも 1/N でなければなりません。"
    )
    assert empty.collect() == [], "リンクのないRDDに対しては、空の結果を返す必要があります。"
    start.unpersist()
    empty.unpersist()
    for iters, parts in [(-1, 2), (1, 0)]:
        try:
            pagerank(pairs, iters, parts)
        except ValueError:
            continue
        raise AssertionError("iters が負のとき、または parts = 0 のときに、ValueError が送出されませんでした。")
