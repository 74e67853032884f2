from collections import defaultdict


def pagerank(links, iters, parts):
    """The ranks live on the driver and are broadcast in each step; the links stay."""
    if iters < 0 or parts < 1:
        raise ValueError("iters must not be negative, and parts must be positive")
    sc = links.context
    graph = links.distinct().groupByKey(parts).mapValues(list).persist()
    sources = set(graph.keys().collect())
    pages = sources.union(graph.values().flatMap(set).distinct().collect())
    n = len(pages)
    ranks = {page: 1 / n for page in pages}
    for _ in range(iters):
        known = sc.broadcast(ranks)

        def shares(rows, known=known):
            sums = defaultdict(float)
            for page, linked in rows:
                for target in linked:
                    sums[target] += known.value[page] / len(linked)
            return sums.items()

        sums = graph.mapPartitions(shares).reduceByKey(lambda a, b: a + b, parts).collectAsMap()
        dangling = sum(rank for page, rank in ranks.items() if page not in sources)
        ranks = {p: 0.15 / n + 0.85 * (sums.get(p, 0.0) + dangling / n) for p in pages}
        known.destroy()
    graph.unpersist()
    return sc.parallelize(list(ranks.items()), parts)
