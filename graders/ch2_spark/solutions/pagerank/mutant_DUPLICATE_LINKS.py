def pagerank(links, iters, parts):
    if iters < 0 or parts < 1:
        raise ValueError("iters must be 0 or more and parts 1 or more")
    ends = links.flatMap(lambda link: [(link[0], [link[1]]), (link[1], [])])
    graph = ends.reduceByKey(lambda a, b: a + b, parts).persist()
    n = max(1, graph.count())
    ranks = graph.mapValues(lambda _: 1 / n)
    for _ in range(iters):
        rows = graph.join(ranks, parts)
        dangling = rows.filter(lambda row: not row[1][0]).map(lambda row: row[1][1]).sum()
        shares = rows.flatMap(
            lambda row: [(row[0], 0.0)] + [(t, row[1][1] / len(row[1][0])) for t in row[1][0]]
        )
        base = 0.15 / n + 0.85 * dangling / n
        ranks = shares.reduceByKey(lambda a, b: a + b, parts)
        ranks = ranks.mapValues(lambda share, base=base: base + 0.85 * share)
    ranks.persist().count()
    graph.unpersist()
    return ranks
