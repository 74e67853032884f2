"""2.4 `clean`: text made into typed columns by expressions that Spark itself understands.

What it returns is held against every known wrong way at once; how, against Spark's plan.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from shardwork.grading import OracleBank, SparkFrame, StudentFault, blame


def ddl(**columns: str) -> str:
    """Return columns and their types as Spark SQL writes a schema."""
    return ", ".join(f"{name} {kind}" for name, kind in columns.items())


# Names and types apart: the schema is the task's, and what a grader has in one text is hidden.
DDL = ddl(id="bigint", name="string", amount="string", status="string")
COLUMNS = [("id", "bigint"), ("name", "string"), ("amount", "decimal(12,2)"), ("size", "string")]
IDEOGRAPHIC = "\u3000"

Raw = tuple[int, str | None, str | None, str | None]
Clean = tuple[int, str | None, str | None, str]

NAMES = [
    "Ada LOVELACE",
    "Élodie  Brûlé",
    "ЖАННА Фриске",
    "Åsa\tÖberg",
    "佐藤 花子",
    "Nguyễn Thị Mai",
]
BROKEN = ["n/a", "", "-", "12.3.4", "--5.00", "one", "€ 12.00", "   "]


def messy(rng, name: str, how: int) -> str:
    """One of several ways to write a name with superfluous blanks."""
    words = name.split()
    ways = [
        name, f"  {name} ", name.upper(), "   ".join(words), IDEOGRAPHIC.join(words),
        f"{IDEOGRAPHIC}{name}\t",
    ]  # fmt: skip
    return ways[how % len(ways)]


def draw(rng, n: int = 90) -> list[Raw]:
    """Random rows in which every kind of name, amount and status occurs, nulls too."""
    rows: list[Raw] = []
    for i in range(n):
        number = float(rng.uniform(1.0, 10.0)) * 10 ** (i % 4)
        sign = "-" if i % 13 == 0 else ""
        text = sign + (f"{number:,.2f}" if i % 3 else f"{number:.2f}")
        amount = [text, f"  {text} ", BROKEN[i % len(BROKEN)], None][(0, 1, 0, 2, 0, 0, 3)[i % 7]]
        name = None if i % 17 == 5 else messy(rng, NAMES[i % len(NAMES)], i // len(NAMES))
        status = [None, "paid", "open", "cancelled", "paid"][
            int(rng.integers(5)) if i > 9 else i % 5
        ]
        rows.append((i, name, amount, status))
    edges = ["100.00", "99.99", "1,000.00", "999.99", "0.00", "1,234,567.89"]
    rows += [(n + i, "edge", text, "paid") for i, text in enumerate(edges)]
    return [rows[int(i)] for i in rng.permutation(len(rows))]


def amount_of(text: str | None) -> str | None:
    """Read a text as a number with two digits behind the point, by hand; None if it is none."""
    if text is None or text in BROKEN:
        return None
    return format(Decimal(text.strip().replace(",", "")), "f")


def size_of(amount: str | None) -> str:
    if amount is None:
        return "unknown"
    value = Decimal(amount)
    return "small" if value < 100 else "medium" if value < 1000 else "large"


def name_of(name: str | None, blanks: str = f" \t{IDEOGRAPHIC}") -> str | None:
    if name is None:
        return None
    for blank in blanks:
        name = name.replace(blank, " ")
    return " ".join(word for word in name.split(" ") if word).lower()


def cleaned(rows: list[Raw], **how) -> list[Clean]:
    """The right result, or that of a wrong way: `how` replaces one of the functions."""
    keeps = how.get("keeps", lambda status: status != "cancelled")
    read, size, name = (how.get(f.__name__, f) for f in (amount_of, size_of, name_of))
    made = [(i, name(n), read(a), s) for i, n, a, s in rows]
    return [(i, n, a, size(a)) for i, n, a, s in made if keeps(s)]


def equal(a: list[Clean], b: list[Clean]) -> bool:
    return Counter(a) == Counter(b)


def bank(rows: list[Raw]) -> OracleBank[list[Clean]]:
    return OracleBank(
        right=cleaned(rows),
        wrong={
            "NULL_COMPARISON": cleaned(rows, keeps=lambda s: s is not None and s != "cancelled"),
            "NULL_IS_LARGE": cleaned(rows, size_of=lambda a: "large" if a is None else size_of(a)),
            "BROKEN_IS_ZERO": cleaned(rows, amount_of=lambda a: amount_of(a) or "0.00"),
            "ASCII_BLANKS": cleaned(rows, name_of=lambda n: name_of(n, " \t")),
        },
        same=equal,
    )


def test_values(student, spark, rng):
    """Names, amounts and sizes are right, and only cancelled rows are left out."""
    rows = draw(rng)
    frame = student.call("clean", spark.frame(DDL, rows, partitions=3), returns=SparkFrame)
    assert frame.schema() == COLUMNS, blame(
        because="Names, types or order of the columns are not those of the task."
    )
    oracles = bank(rows)
    # A cast that raises is another check's subject: those rows are judged without broken amounts.
    try:
        found = frame.collect(list[Clean])
    except StudentFault:
        rows = [row for row in rows if row[2] not in BROKEN]
        frame = student.call("clean", spark.frame(DDL, rows, partitions=3), returns=SparkFrame)
        found, right = frame.collect(list[Clean]), cleaned(rows)
        assert equal(found, right), blame(because="Some rows are wrong.")
        return
    code = oracles.explain(found).code
    missing = {row[0] for row in cleaned(rows)} != {row[0] for row in found}
    assert oracles.accepts(found), blame(
        code,
        because="" if code
        else "Rows are missing, or there are rows that should have been left out." if missing
        else "Some name, amount or size is wrong.",
    )  # fmt: skip


def test_broken_amounts(student, spark, rng):
    """Text that is no number gives null, and raises nothing."""
    texts = [*BROKEN, "12.00", "1,200.50"]
    rows = [(i, "x", text, "paid") for i, text in enumerate(rng.permutation(texts).tolist())]
    frame = student.call("clean", spark.frame(DDL, rows), returns=SparkFrame)
    try:
        found = frame.collect(list[tuple[int, str | None, str | None, str | None]])
    except StudentFault:
        good = [row for row in rows if row[2] not in BROKEN]
        frame = student.call("clean", spark.frame(DDL, good), returns=SparkFrame)
        frame.collect(list[Clean])  # raises here, too: then it is not the broken text
        assert False, blame("ANSI_CAST_RAISES")
    got = {i: amount for i, _, amount, _ in found}
    right = {i: amount_of(text) for i, _, text, _ in rows}
    zero = {i: amount or "0.00" for i, amount in right.items()}
    code = "BROKEN_IS_ZERO" if got == zero else None
    assert got == right, blame(code, because="" if code else "Some amounts are wrong.")


def test_expressions_only(student, spark, rng):
    """Spark does all the work itself: no row is handed to Python, to an RDD or to the driver."""
    given = spark.frame(DDL, draw(rng), partitions=3)
    with spark.watch() as during_call:
        frame = student.call("clean", given, returns=SparkFrame)
    plan = frame.plan()
    python = plan.python_nodes
    pandas = any(node.python and node.python.eval_type not in (100, 101) for node in python)
    assert not python, blame("PANDAS_UDF" if pandas else "PY_UDF", nodes=len(python))
    new = plan.new_rdds(given.plan())
    # To guess a schema, `toDF` looks at the first row; who collects looks at all three partitions.
    collected = bool(new) and during_call.tasks >= 3
    assert not (collected or plan.has("LocalTableScan")), blame(
        because="The rows were brought to the driver and sent out again."
    )
    assert not new, blame("RDD_MAP")
    assert during_call.jobs == 0, blame(
        because="The call itself ran {jobs} Spark jobs; it should run none.", jobs=during_call.jobs
    )


def test_no_shuffle(student, spark, rng):
    """Each row is cleaned where it lies: nothing is shuffled, and partitions stay as they are."""
    rows = [row for row in draw(rng) if row[2] not in BROKEN and row[3] is not None]
    sizes = [40, 0, len(rows) - 40]
    frame = student.call("clean", spark.frame(DDL, rows, partitions=sizes), returns=SparkFrame)
    with spark.watch() as action:
        parts = frame.partitions(list[list[tuple[int, str | None, str | None, str | None]]])
    given = [{row[0] for row in part} for part in (rows[:40], [], rows[40:])]
    assert action.shuffle_write_bytes == 0, blame(because="Computing the result shuffles rows.")
    found = [{row[0] for row in part} for part in parts]
    assert any(found), blame(because="The result has no rows.")
    assert len(found) == 3 and all(a <= b for a, b in zip(found, given, strict=True)), blame(
        because="Rows came out in other partitions than they went in."
    )
