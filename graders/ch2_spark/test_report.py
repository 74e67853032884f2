"""2.6 `report`: a join of one large, one medium and one small table that loses and doubles nothing.

Values and shape of the join are judged on different inputs, so that each mistake shows in one
place. Rows that were shuffled are counted by Spark; which table was broadcast, its plan tells.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from shardwork.grading import Plan, PlanNode, SparkFrame, blame


def ddl(**columns: str) -> str:
    """Return columns and their types as Spark SQL writes a schema."""
    return ", ".join(f"{name} {kind}" for name, kind in columns.items())


# Names and types apart: the schemas are the task's, and what a grader has in one text is hidden.
ORDERS = ddl(order_id="bigint", customer_id="bigint", amount="double")
CUSTOMERS = ddl(customer_id="bigint", name="string", country="string", version="int")
COUNTRIES = ddl(country="string", label="string", version="int")
COLUMNS = [
    ("order_id", "bigint"), ("amount", "double"), ("name", "string"), ("label", "string"),
]  # fmt: skip
NO_AUTOMATIC = ("spark.sql.autoBroadcastJoinThreshold", "-1")
SHUFFLED = ("SortMergeJoin", "ShuffledHashJoin")
UNEQUAL = ("BroadcastNestedLoopJoin", "CartesianProduct")

Order = tuple[int, int | None, float]
Customer = tuple[int, str, str | None, int]
Country = tuple[str, str, int]
Row = tuple[int, float, str | None, str | None]
CODES = ["JP", "FR", "BR", "IN", "NZ", "KE", "DE", "MX"]


def draw(rng, *, orders: int, customers: int, gaps: bool, versions: bool):
    """Random tables. With `gaps` some keys find no partner; with `versions` some come again.

    Of what comes again, the newest row is neither always the first nor always the last.
    """
    people: list[Customer] = []
    for number in range(customers):
        code = CODES[int(rng.integers(len(CODES)))]
        if gaps and number % 9 == 4:
            code = None if number % 2 else "XX"
        many = 1 + number % 3 if versions else 1
        for version in rng.permutation(many).tolist():
            people.append((number, f"n{number} 山田 v{version}", code, version))
    labels: list[Country] = []
    for place, code in enumerate(CODES):
        for version in rng.permutation(1 + place % 3 if versions else 1).tolist():
            labels.append((code, f"{code} v{version} é", version))
    made: list[Order] = []
    for number in range(orders):
        customer: int | None = int(rng.integers(customers))
        if gaps and number % 8 == 3:
            customer = None if number % 3 else customers + number
        made.append((number, customer, float(rng.normal(50.0, 20.0))))
    return made, people, labels


def newest(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Of the rows with one key (the first column), the one with the largest last column."""
    found: dict[Any, tuple[Any, ...]] = {}
    for row in rows:
        if row[0] not in found or row[-1] > found[row[0]][-1]:
            found[row[0]] = row
    return list(found.values())


def joined(orders, customers, countries, lost: str = "") -> list[Row]:
    """Join by hand, with every match; `lost` names tables whose missing partners lose the row."""
    rows: list[Row] = []
    for order_id, customer_id, amount in orders:
        people = [c for c in customers if c[0] == customer_id]
        for _, name, code, _ in people or [(0, None, None, 0)] * ("customers" not in lost):
            labels = [label for country, label, _ in countries if country == code]
            for label in labels or [None] * ("countries" not in lost):
                rows.append((order_id, amount, name, label))
    return rows


def the_report(student, spark, tables, partitions: tuple[int, int, int] = (4, 3, 2)):
    """Call the student's function with these tables; return its frame and the given ones."""
    schemas = (ORDERS, CUSTOMERS, COUNTRIES)
    given = [
        spark.frame(schema, rows, partitions=n)
        for schema, rows, n in zip(schemas, tables, partitions, strict=True)
    ]
    return student.call("report", *given, returns=SparkFrame), given


def check_values(found: list[Row], right: list[Row], wrong: list[tuple[str, list[Row]]]) -> None:
    """Hold the rows, in any order, against the right ones and those of known mistakes."""
    if Counter(found) == Counter(right):
        return
    code = next((name for name, rows in wrong if Counter(rows) == Counter(found)), None)
    numbers = Counter(row[0] for row in found)
    wanted = Counter(row[0] for row in right)
    missing, again = wanted - numbers, numbers - wanted
    assert False, blame(
        code, rows=len(found), orders=len(right),
        because="" if code
        else "Orders are missing." if missing
        else "Some orders come more than once." if again
        else "The name or the label of some orders is wrong.",
    )  # fmt: skip


def test_every_order_stays(student, spark, rng):
    """Every order is in the result, also without a known customer or country."""
    tables = draw(rng, orders=120, customers=40, gaps=True, versions=False)
    with spark.conf(*NO_AUTOMATIC):
        frame, _ = the_report(student, spark, tables)
        assert frame.schema() == COLUMNS, blame(
            because="Names, types or order of the columns are not those of the task."
        )
        found = frame.collect(list[Row])
    wrong = [
        ("INNER_JOIN", joined(*tables, lost=lost))
        for lost in ("customers", "countries", "customers countries")
    ]
    check_values(found, joined(*tables), wrong)


def test_newest_version(student, spark, rng):
    """Every order comes once, with the newest name of its customer and label of its country."""
    tables = draw(rng, orders=120, customers=40, gaps=False, versions=True)
    orders, customers, countries = tables
    with spark.conf(*NO_AUTOMATIC):
        frame, _ = the_report(student, spark, tables)
        found = frame.collect(list[Row])
    one_customer, one_country = newest(customers), newest(countries)
    right = joined(orders, one_customer, one_country)
    wrong = [
        ("FAN_OUT", joined(orders, customers, countries)),
        ("FAN_OUT", joined(orders, one_customer, countries)),
        ("FAN_OUT", joined(orders, customers, one_country)),
    ]
    if any_version(found, orders, customers, countries, right):
        wrong.append(("ANY_VERSION", found))
    check_values(found, right, wrong)


def any_version(found, orders, customers, countries, right) -> bool:
    """Whether each order comes once, and what is wrong are names or labels of older versions."""
    possible = set(joined(orders, customers, countries))
    once = Counter(row[0] for row in found) == Counter(row[0] for row in right)
    return once and set(found) <= possible and Counter(found) != Counter(right)


def test_empty_tables(student, spark, rng):
    """Empty tables give what is to be expected: no orders, or orders without name and label."""
    orders, customers, countries = draw(rng, orders=12, customers=5, gaps=False, versions=False)
    for tables in (
        ([], customers, countries),
        (orders, [], countries),
        (orders, customers, []),
    ):
        with spark.conf(*NO_AUTOMATIC):
            frame, _ = the_report(student, spark, tables)
            found = frame.collect(list[Row])
        losing = [("INNER_JOIN", joined(*tables, lost=t)) for t in ("customers", "countries")]
        check_values(found, joined(*tables), losing)


def reads(plan: Plan, node: PlanNode, given: SparkFrame) -> bool:
    """Whether `node` gets rows of a given table."""
    ids = {one.rdd_id for one in given.plan().rdd_scans}
    return any(one.rdd_id in ids for one in plan.below(node) if one.rdd_id is not None)


def broadcasts(plan: Plan) -> list[PlanNode]:
    return [node for node in plan.nodes if node.kind == "BroadcastExchange"]


def test_small_side_travels(student, spark, rng):
    """The countries are sent to every task (broadcast), in a join by equal keys."""
    tables = draw(rng, orders=60, customers=20, gaps=False, versions=False)
    with spark.conf(*NO_AUTOMATIC):
        frame, (_, _, countries) = the_report(student, spark, tables)
        plan = frame.plan()
    sent = any(reads(plan, node, countries) for node in broadcasts(plan))
    unequal = plan.has(*UNEQUAL)
    shuffled = any(reads(plan, node, countries) for node in plan.joins if node.kind in SHUFFLED)
    code = "NON_EQUI" if unequal else "NO_HINT" if shuffled and not sent else None
    assert sent and not unequal, blame(
        code, because="" if code else "The plan does not broadcast the countries."
    )


def test_large_sides_stay(student, spark, rng):
    """Neither orders nor customers are broadcast: they meet in a join that shuffles both."""
    tables = draw(rng, orders=60, customers=20, gaps=False, versions=False)
    with spark.conf(*NO_AUTOMATIC):
        with spark.watch() as during_call:
            frame, (orders, customers, _) = the_report(student, spark, tables)
        plan = frame.plan()
    large = [
        node
        for node in broadcasts(plan)
        if reads(plan, node, orders) or reads(plan, node, customers)
    ]
    code = "NON_EQUI" if plan.has(*UNEQUAL) else "BROADCAST_BIG"
    assert not large, blame(code, broadcasts=len(large))
    assert during_call.jobs == 0, blame(
        because="The call itself ran {jobs} Spark jobs; it should run none.", jobs=during_call.jobs
    )
    meet = [
        node
        for node in plan.joins
        if node.kind in SHUFFLED and reads(plan, node, orders) and reads(plan, node, customers)
    ]
    assert meet or plan.has(*UNEQUAL), blame(
        because="The plan has no join in which shuffled orders and customers meet."
    )


def test_shuffled_once(student, spark, rng):
    """Orders and customers are shuffled once each, and the countries hardly at all."""
    tables = draw(rng, orders=900, customers=300, gaps=False, versions=False)
    orders, customers, countries = (len(rows) for rows in tables)
    with spark.conf(*NO_AUTOMATIC):
        frame, (_, _, given) = the_report(student, spark, tables)
        plan = frame.plan()
        with spark.watch() as action:
            rows = frame.collect(list[Row])
    assert Counter(rows) == Counter(joined(*tables)), blame(because="The rows are wrong.")
    written = sum(stage.shuffle_write_records for stage in action.by_stage)
    # Measured: 1200 to 1216 for right solutions, 1500 and more where a table goes twice.
    most = orders + customers + 10 * countries
    sent = any(reads(plan, node, given) for node in broadcasts(plan))
    code = None if sent or plan.has(*UNEQUAL) else "NO_HINT"
    assert written <= most, blame(
        code, written=written, most=most,
        because="" if code
        else "{written} rows were shuffled; one shuffle of each large table is at most {most}.",
    )  # fmt: skip
