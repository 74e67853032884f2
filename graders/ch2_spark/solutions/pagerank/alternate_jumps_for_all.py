def pagerank(links, iters, parts):
    """No job in the loop: a dangling page is treated as one that links to all pages."""
    if iters < 0 or parts < 1:
        raise ValueError((iters, parts))
    sc = links.context
    edges = links.distinct()
    pages = sc.broadcast(sorted(edges.flatMap(lambda edge: edge).distinct().collect()))
    n = len(pages.value)

    def start(linked, target):
        return linked if target is None else [*linked, target]

    nobody = sc.parallelize([(page, None) for page in pages.value], 2)
    graph = edges.union(nobody).aggregateByKey([], start, lambda a, b: a + b, parts).persist()
    ranks = graph.mapValues(lambda _: 1.0 / n)

    def hand_on(pair):
        linked, rank = pair
        return [(target, rank / len(linked or pages.value)) for target in linked or pages.value]

    for _ in range(iters):
        sums = graph.join(ranks).values().flatMap(hand_on).union(nobody.mapValues(lambda _: 0.0))
        ranks = sums.reduceByKey(lambda a, b: a + b, parts).mapValues(lambda s: 0.15 / n + 0.85 * s)
    result = sc.parallelize(ranks.collect(), parts)
    graph.unpersist()
    return result
