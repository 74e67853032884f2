def enrich(sc, rdd, table):
    shared = sc.broadcast(table)

    def look_up(records):
        names = shared.value
        for code, value in records:
            name = names.get(code)
            if name is not None:
                yield (name, value)

    def unknown(records):
        names = shared.value
        return [sum(1 for code, _ in records if code not in names)]

    return rdd.mapPartitions(look_up), lambda: sum(rdd.mapPartitions(unknown).collect())
