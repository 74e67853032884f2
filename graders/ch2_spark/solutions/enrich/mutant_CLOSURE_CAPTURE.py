def enrich(sc, rdd, table):
    known = rdd.filter(lambda record: record[0] in table)
    enriched = known.map(lambda record: (table[record[0]], record[1]))

    def bad_count():
        return rdd.filter(lambda record: record[0] not in table).count()

    return enriched, bad_count
