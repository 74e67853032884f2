def enrich(sc, rdd, table):
    names = sc.broadcast(table)

    def look_up(record):
        code, value = record
        name = names.value.get(code)
        if name:
            yield name, value

    def bad_count():
        return rdd.filter(lambda record: record[0] not in names.value).count()

    return rdd.flatMap(look_up), bad_count
