from otter.test_files import test_case

OK_FORMAT = False
name = "write_table"
points = None


@test_case(
    name="files",
    success_message="小さな表のディレクトリが正しく作られ、それぞれのファイルは最小限です。",
    failure_message="ファイルが課題のとおりではありません。files_below で見てみてください。",
)
def test_files(write_table, spark):
    import tempfile
    from pathlib import Path

    rows = [("JP" if i % 3 else "FR", f"2027-W{i % 2}", i) for i in range(60)]
    df = spark.createDataFrame(rows, "country string, week string, item int").repartition(5)
    path = Path(tempfile.mkdtemp()) / "table"
    write_table(df, str(path), ["country", "week"], 8)
    directories = sorted({str(f.parent.relative_to(path)) for f in path.rglob("*.parquet")})
    assert len(directories) == 4, (
        f'country=JP/week=2027-W1 のようなディレクトリが四つ必要ですが、実際には {directories} でした。'
    )
    # 20 rows in each directory of JP and 10 in each of FR
    for directory in directories:
        files = len(list((path / directory).glob("*.parquet")))
        assert files == (3 if "JP" in directory else 2), (
            f'{directory} には {files} 個のファイルがあります。1ファイル8行とすると、この行数にはいくつ必要でしょうか。'
        )
    assert spark.read.parquet(str(path)).count() == 60, "欠けている行か、二重になっている行があります。"


@test_case(
    name="run again",
    success_message="2回目の実行は、そのディレクトリの行を置き換えます。",
    failure_message="一つのディレクトリの新しい行だけで2回目を実行したら、そのディレクトリだけを置き換える必要があります。",
)
def test_run_again(write_table, spark):
    import tempfile
    from pathlib import Path

    path = str(Path(tempfile.mkdtemp()) / "table")
    first = spark.createDataFrame([("FR", 1), ("JP", 2)], "country string, item int")
    second = spark.createDataFrame([("JP", 3)], "country string, item int")
    write_table(first, path, ["country"], 10)
    write_table(second, path, ["country"], 10)
    found = {tuple(row) for row in spark.read.parquet(path).select("country", "item").collect()}
    assert ("JP", 3) in found, "新しい行がありません。"
    assert ("JP", 2) not in found, "ディレクトリの古い行が残っています。"
    assert ("FR", 1) in found, "ほかのディレクトリの行がなくなっています。"


@test_case(
    name="wrong arguments",
    success_message="キーがないときと rows_per_file = 0 のときに、ValueError が発生します。",
    failure_message="keys が空のリストのときと rows_per_file = 0 のときは、ValueError を発生させる必要があります。",
)
def test_wrong_arguments(write_table, spark):
    df = spark.createDataFrame([("JP", 2)], "country string, item int")
    for keys, rows_per_file in (([], 10), (["country"], 0)):
        try:
            write_table(df, "/tmp/never_written", keys, rows_per_file)
        except ValueError:
            continue
        raise AssertionError("呼び出しで ValueError が発生しませんでした。")


@test_case(
    name="buckets",
    success_message="バケットに分けた表のファイルは、バケットごとに一つまでです。",
    failure_message="write_bucketed の表が課題のとおりではありません。",
)
def test_buckets(write_bucketed, spark):
    df = spark.range(200).repartition(5)
    write_bucketed(df, "public_check_buckets", "id", 3)
    try:
        table = spark.table("public_check_buckets")
        assert table.count() == 200, "欠けている行か、二重になっている行があります。"
        files = len(table.inputFiles())
        assert files <= 3, f'三つのバケットに対して、表のファイルが {files} 個あります。'
    finally:
        spark.sql("DROP TABLE IF EXISTS public_check_buckets")
