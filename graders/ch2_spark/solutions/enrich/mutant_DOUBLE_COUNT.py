def enrich(sc, rdd, table):
    names = sc.broadcast(table)
    bad = sc.accumulator(0)

    def look_up(record):
        code, value = record
        if code in names.value:
            return [(names.value[code], value)]
        bad.add(1)
        return []

    enriched = rdd.flatMap(look_up)
    return enriched, lambda: bad.value
