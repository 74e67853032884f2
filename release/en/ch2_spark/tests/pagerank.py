from otter.test_files import test_case

OK_FORMAT = False
name = "pagerank"
points = None


@test_case(
    name="small example",
    success_message="The small example gives the ranks of the task.",
    failure_message="The small example is wrong. Work one step out by hand with the formula.",
)
def test_small_example(pagerank, spark):
    links = spark.sparkContext.parallelize([("a", "b"), ("b", "a"), ("a", "c")], 2)
    result = pagerank(links, 1, 2)
    assert hasattr(result, "collect"), (
        "The function should return an RDD. Is there a return statement?"
    )
    ranks = result.collect()
    assert sorted(page for page, _ in ranks) == ["a", "b", "c"], (
        "The result should have each of the pages a, b and c once."
    )
    rounded = {page: round(rank, 4) for page, rank in ranks}
    assert rounded == {"a": 0.4278, "b": 0.2861, "c": 0.2861}, (
        "A rank differs from the example in the task."
    )
    result.unpersist()


@test_case(
    name="two steps",
    success_message="After two steps the ranks sum to 1, and nothing is left behind.",
    failure_message="After two steps the ranks should sum to 1, and nothing be left behind.",
)
def test_two_steps(pagerank, spark):
    sc = spark.sparkContext
    before = set(sc._jsc.getPersistentRDDs())
    pairs = [("home", "news"), ("news", "home"), ("home", "end"), ("new", "home"), ("news", "end")]
    result = pagerank(sc.parallelize(pairs, 1), 2, 1)
    left = set(sc._jsc.getPersistentRDDs()) - before
    assert left <= {result.id()}, "Another RDD than the result is still persisted."
    assert abs(sum(rank for _, rank in result.collect()) - 1) < 1e-9, (
        "After two steps the ranks do not sum to 1. Which rank goes to nobody?"
    )
    result.unpersist()


@test_case(
    name="edge cases",
    success_message="No steps, no links and wrong arguments are handled.",
    failure_message="Look at iters = 0, at an empty RDD, and at the errors in the docstring.",
)
def test_edges(pagerank, spark):
    sc = spark.sparkContext
    pairs = sc.parallelize([("a", "b"), ("b", "a")], 1)
    start, empty = pagerank(pairs, 0, 2), pagerank(sc.parallelize([], 1), 1, 1)
    assert sorted(start.collect()) == [("a", 0.5), ("b", 0.5)], (
        "With iters = 0 every page should have the rank 1/N."
    )
    assert empty.collect() == [], "An RDD without links should give an empty result."
    start.unpersist()
    empty.unpersist()
    for iters, parts in [(-1, 2), (1, 0)]:
        try:
            pagerank(pairs, iters, parts)
        except ValueError:
            continue
        raise AssertionError("A negative iters, or parts = 0, raised no ValueError.")
