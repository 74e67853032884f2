bad = 0


def enrich(sc, rdd, table):
    names = sc.broadcast(table)

    def look_up(record):
        global bad
        code, value = record
        if code in names.value:
            yield names.value[code], value
        else:
            bad += 1

    return rdd.flatMap(look_up), lambda: bad
