def enrich(sc, rdd, table):
    names = sc.broadcast(table).value
    known = rdd.filter(lambda record: record[0] in names)
    enriched = known.map(lambda record: (names[record[0]], record[1]))

    def bad_count():
        bad = sc.accumulator(0)
        rdd.foreach(lambda record: bad.add(0 if record[0] in names else 1))
        return bad.value

    return enriched, bad_count
