from otter.test_files import test_case

OK_FORMAT = False
name = "write_table"
points = None


@test_case(
    name="files",
    success_message="A small table has its directories, and each has as few files as possible.",
    failure_message="The files are not as the task asks. Look at them with files_below.",
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
        f"There should be four directories such as country=JP/week=2027-W1; found {directories}."
    )
    # 20 rows in each directory of JP and 10 in each of FR
    for directory in directories:
        files = len(list((path / directory).glob("*.parquet")))
        assert files == (3 if "JP" in directory else 2), (
            f"{directory} has {files} files. How many do its rows need, at eight rows a file?"
        )
    assert spark.read.parquet(str(path)).count() == 60, "Some rows are missing, or come twice."


@test_case(
    name="run again",
    success_message="A second run replaces the rows of its directories.",
    failure_message="A second run with new rows for one directory should replace that one only.",
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
    assert ("JP", 3) in found, "The new row is missing."
    assert ("JP", 2) not in found, "The old row of the directory is still there."
    assert ("FR", 1) in found, "The row of the other directory is gone."


@test_case(
    name="wrong arguments",
    success_message="No keys, and rows_per_file = 0, raise ValueError.",
    failure_message="An empty list of keys, and rows_per_file = 0, should raise ValueError.",
)
def test_wrong_arguments(write_table, spark):
    df = spark.createDataFrame([("JP", 2)], "country string, item int")
    for keys, rows_per_file in (([], 10), (["country"], 0)):
        try:
            write_table(df, "/tmp/never_written", keys, rows_per_file)
        except ValueError:
            continue
        raise AssertionError("The call raised no ValueError.")


@test_case(
    name="buckets",
    success_message="The bucketed table has at most one file for each bucket.",
    failure_message="The table of write_bucketed is not as the task asks.",
)
def test_buckets(write_bucketed, spark):
    df = spark.range(200).repartition(5)
    write_bucketed(df, "public_check_buckets", "id", 3)
    try:
        table = spark.table("public_check_buckets")
        assert table.count() == 200, "Some rows are missing, or come twice."
        files = len(table.inputFiles())
        assert files <= 3, f"The table has {files} files for three buckets."
    finally:
        spark.sql("DROP TABLE IF EXISTS public_check_buckets")
