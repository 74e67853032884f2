from operator import add


def pagerank(links, iters, parts):
    if iters < 0:
        raise ValueError("iters is negative")
    if parts < 1:
        raise ValueError("parts must be at least 1")
    distinct = links.distinct().persist()
    pages = distinct.flatMap(lambda link: link).distinct().map(lambda page: (page, None))
    graph = (
        pages.leftOuterJoin(distinct.groupByKey(), parts)
        .mapValues(lambda pair: tuple(pair[1] or ()))
        .cache()
    )
    n = graph.count()
    distinct.unpersist()
    if n == 0:
        return graph.unpersist().mapValues(float)
    ranks = graph.mapValues(lambda _: 1 / n)
    for _ in range(iters):
        both = graph.join(ranks, parts)
        lost = sum(both.filter(lambda row: not row[1][0]).map(lambda row: row[1][1]).collect())
        sent = both.flatMap(lambda row: [(t, row[1][1] / len(row[1][0])) for t in row[1][0]])
        sums = sent.reduceByKey(add, parts)
        top = 0.15 / n + 0.85 * lost / n
        ranks = graph.leftOuterJoin(sums, parts).mapValues(
            lambda pair, top=top: top + 0.85 * (pair[1] or 0.0)
        )
    ranks = ranks.persist()
    ranks.foreach(lambda _: None)
    graph.unpersist()
    return ranks
