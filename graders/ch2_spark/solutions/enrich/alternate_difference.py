import functools


def enrich(sc, rdd, table):
    names = sc.broadcast(table)
    known = rdd.filter(lambda record: record[0] in names.value).cache()

    @functools.cache
    def bad_count():
        return rdd.count() - known.count()

    return known.map(lambda record: (names.value[record[0]], record[1])), bad_count
