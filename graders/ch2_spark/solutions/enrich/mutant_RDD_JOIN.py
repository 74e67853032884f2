def enrich(sc, rdd, table):
    names = sc.parallelize(list(table.items()), 2)
    enriched = rdd.join(names).map(lambda row: (row[1][1], row[1][0]))

    def bad_count():
        return rdd.subtractByKey(names).count()

    return enriched, bad_count
