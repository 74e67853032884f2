import tempfile

from otter.test_files import test_case

OK_FORMAT = False
name = "revenue"
points = None


def write_orders(spark):
    """Write six orders of two days; return the path of the table."""
    orders = [
        (1, 7, "JP", 40.0, None, "2026-01-05"),
        (2, 8, "JP", 60.5, "gift", "2026-01-05"),
        (3, 7, None, 75.0, None, "2026-01-05"),
        (4, 9, "FR", 50.0, None, "2026-01-05"),
        (5, 9, "FR", None, None, "2026-01-05"),
        (6, 8, "JP", 99.0, None, "2026-01-06"),
    ]
    columns = (
        "order_id bigint, customer_id bigint, country string, amount double, note string, "
        "day string"
    )
    path = tempfile.mkdtemp() + "/orders"
    spark.createDataFrame(orders, columns).coalesce(1).write.partitionBy("day").parquet(path)
    return path


@test_case(
    name="small example",
    success_message="小さな例で、各国の売上が正しく求まりました。",
    failure_message="小さな例の結果が違います。手で計算してから、show() の出力と比べてください。",
)
def test_small_example(revenue, spark):
    result = revenue(spark, write_orders(spark), "2026-01-05", 50.0)
    assert hasattr(result, "columns"), (
        "関数はDataFrameを返す必要があります。return文はありますか。"
    )
    assert result.columns == ["country", "revenue"], f'列は {result.columns} です。'
    rows = {row.country: row.revenue for row in result.collect()}
    assert "FR" not in rows, "その日、FRには50.0を超える注文はありません。"
    assert rows == {"JP": 60.5, None: 75.0}, f'結果は {rows} です。'


@test_case(
    name="no such day",
    success_message="テーブルにない日に対して、空の結果が返ります。",
    failure_message="テーブルにない日に対しては、空の結果を返してください。",
)
def test_no_such_day(revenue, spark):
    rows = revenue(spark, write_orders(spark), "2025-12-31", 0.0).collect()
    assert rows == [], f'{len(rows)} 行あります。'


@test_case(
    name="one file",
    success_message="その日のファイルだけが読まれています。",
    failure_message="二つのファイルのうち、その日のファイルだけを読んでください。",
)
def test_one_file(revenue, spark):
    result = revenue(spark, write_orders(spark), "2026-01-05", 50.0)
    result.collect()
    leaves = result._jdf.queryExecution().executedPlan().collectLeaves()
    scans = [leaves.apply(i) for i in range(leaves.size())]
    scans = [scan for scan in scans if scan.nodeName().startswith("Scan parquet")]
    assert scans, "結果の実行計画そのものは、Parquetファイルを読んでいません。explain() の出力を見てください。"
    files = sum(scan.metrics().apply("numFiles").value() for scan in scans)
    assert files == 1, f'{files} 個のファイルが読まれました。'
