def enrich(sc, rdd, table):
    b = sc.broadcast(table)
    known = rdd.filter(lambda record: record[0] in b.value)
    unknown = rdd.filter(lambda record: record[0] not in b.value)
    return known.map(lambda record: (b.value[record[0]], record[1])), unknown.count
