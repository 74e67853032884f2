class Lookup:
    """A callable object: only its broadcast travels."""

    def __init__(self, ticket):
        self.ticket = ticket

    def __call__(self, record):
        code, value = record
        return (self.ticket.value.get(code), value)


def enrich(sc, rdd, table):
    marked = rdd.map(Lookup(sc.broadcast(table)))
    codes = sc.broadcast(frozenset(table))

    def bad_count():
        return rdd.map(lambda record: 0 if record[0] in codes.value else 1).fold(0, int.__add__)

    return marked.filter(lambda pair: pair[0] is not None), bad_count
