from decimal import Decimal

from otter.test_files import test_case

OK_FORMAT = False
name = "clean"
points = None

COLUMNS = "id bigint, name string, amount string, status string"


def one(clean, spark, name="x", amount="1.00", status="paid"):
    """Clean a table of one row; return the rows of the result."""
    return clean(spark.createDataFrame([(1, name, amount, status)], COLUMNS)).collect()


@test_case(
    name="columns",
    success_message="The result has the columns of the task, with their types.",
    failure_message="Columns or types differ from those of the task. Look at printSchema().",
)
def test_columns(clean, spark):
    result = clean(spark.createDataFrame([(1, "x", "1.00", "paid")], COLUMNS))
    assert hasattr(result, "dtypes"), (
        "The function should return a DataFrame. Is there a return statement?"
    )
    assert [name for name, _ in result.dtypes] == ["id", "name", "amount", "size"], (
        f"The columns are {result.columns}."
    )
    assert [kind for _, kind in result.dtypes] == ["bigint", "string", "decimal(12,2)", "string"], (
        f"The types are {[kind for _, kind in result.dtypes]}."
    )


@test_case(
    name="one row",
    success_message="A messy row becomes a clean one.",
    failure_message="A messy row is not cleaned as the task says.",
)
def test_one_row(clean, spark):
    (row,) = one(clean, spark, "  ZOË   van  Dijk ", " 1,234.50 ")
    assert row.name == "zoë van dijk", f"The name is {row.name!r}."
    assert row.amount == Decimal("1234.50"), f"The amount is {row.amount!r}."
    assert row["size"] == "large", f"The size is {row['size']!r}."


@test_case(
    name="no number",
    success_message="Text that is no number gives null and unknown.",
    failure_message="Text that is no number should give null and unknown, and raise nothing.",
)
def test_no_number(clean, spark):
    (row,) = one(clean, spark, amount="n/a")
    assert row.amount is None, f"The amount is {row.amount!r}."
    assert row["size"] == "unknown", f"The size is {row['size']!r}."


@test_case(
    name="status",
    success_message="A cancelled row is left out.",
    failure_message="Rows whose status is cancelled should be left out, and no others.",
)
def test_status(clean, spark):
    assert one(clean, spark, status="cancelled") == [], "A cancelled row is still there."
    assert len(one(clean, spark, status="open")) == 1, "An open row is missing."


@test_case(
    name="no Python in the plan",
    success_message="The plan hands no row to a UDF.",
    failure_message="The plan hands rows to Python. Look at explain().",
)
def test_no_python(clean, spark):
    result = clean(spark.createDataFrame([(1, "x", "1.00", "paid")], COLUMNS))
    plan = result._jdf.queryExecution().executedPlan().toString()
    for node in ("ArrowEvalPython", "BatchEvalPython", "MapInPandas", "MapInArrow"):
        assert node not in plan, f"The plan has a node {node}."
