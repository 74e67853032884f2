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
    success_message="結果の列とその型は、課題のとおりです。",
    failure_message="列か型が課題と違います。printSchema() の出力を見てください。",
)
def test_columns(clean, spark):
    result = clean(spark.createDataFrame([(1, "x", "1.00", "paid")], COLUMNS))
    assert hasattr(result, "dtypes"), (
        "関数はDataFrameを返す必要があります。return文はありますか。"
    )
    assert [name for name, _ in result.dtypes] == ["id", "name", "amount", "size"], (
        f'列は {result.columns} です。'
    )
    assert [kind for _, kind in result.dtypes] == ["bigint", "string", "decimal(12,2)", "string"], (
        f'型は {[kind for _, kind in result.dtypes]} です。'
    )


@test_case(
    name="one row",
    success_message="乱れた行が、整った行になります。",
    failure_message="乱れた行が、課題のとおりに整えられていません。",
)
def test_one_row(clean, spark):
    (row,) = one(clean, spark, "  ZOË   van  Dijk ", " 1,234.50 ")
    assert row.name == "zoë van dijk", f'名前は {row.name!r} です。'
    assert row.amount == Decimal("1234.50"), f'金額は {row.amount!r} です。'
    assert row["size"] == "large", f"サイズは {row['size']!r} です。"


@test_case(
    name="no number",
    success_message="数ではない文字列は、nullとunknownになります。",
    failure_message="数ではない文字列は、エラーにせず、nullとunknownにしてください。",
)
def test_no_number(clean, spark):
    (row,) = one(clean, spark, amount="n/a")
    assert row.amount is None, f'金額は {row.amount!r} です。'
    assert row["size"] == "unknown", f"サイズは {row['size']!r} です。"


@test_case(
    name="status",
    success_message="取り消された行は除かれています。",
    failure_message="除くのは、statusがcancelledの行だけです。",
)
def test_status(clean, spark):
    assert one(clean, spark, status="cancelled") == [], "取り消された行が残っています。"
    assert len(one(clean, spark, status="open")) == 1, "statusがopenの行がありません。"


@test_case(
    name="no Python in the plan",
    success_message="実行計画では、どの行もUDFに渡されていません。",
    failure_message="実行計画では、行がPythonに渡されています。explain() の出力を見てください。",
)
def test_no_python(clean, spark):
    result = clean(spark.createDataFrame([(1, "x", "1.00", "paid")], COLUMNS))
    plan = result._jdf.queryExecution().executedPlan().toString()
    for node in ("ArrowEvalPython", "BatchEvalPython", "MapInPandas", "MapInArrow"):
        assert node not in plan, f'実行計画に {node} というノードがあります。'
