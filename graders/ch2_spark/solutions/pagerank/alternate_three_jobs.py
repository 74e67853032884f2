from operator import add


def pagerank(links, iters, parts):
    """Wasteful but right: each step runs several jobs over the ranks, none moves the links."""
    if iters < 0 or parts < 1:
        raise ValueError("out of range")
    graph = links.distinct().groupByKey(parts).mapValues(list).persist()
    pages = links.flatMap(lambda link: link).distinct().map(lambda page: (page, 0.0))
    pages = pages.partitionBy(parts).persist()
    n = max(1, pages.count())
    graph.count()
    ranks = pages.mapValues(lambda _: 1 / n)
    for _ in range(iters):
        dangling = ranks.subtractByKey(graph, parts).values().sum()
        total = ranks.values().sum()
        assert n == 1 or abs(total - 1) < 1e-6
        shares = graph.join(ranks, parts).flatMap(
            lambda row: [(target, row[1][1] / len(row[1][0])) for target in row[1][0]]
        )
        received = pages.leftOuterJoin(shares.reduceByKey(add, parts), parts)
        ranks = received.mapValues(
            lambda pair, d=dangling: 0.15 / n + 0.85 * ((pair[1] or 0.0) + d / n)
        )
    result = ranks.cache()
    result.count()
    graph.unpersist()
    pages.unpersist()
    return result
