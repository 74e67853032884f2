from otter.test_files import test_case

OK_FORMAT = False
name = "profile"
points = None


@test_case(
    name="answers",
    success_message="小さな例の答えは正しいです。",
    failure_message="小さな例の答えが正しくないか、質問の順になっていません。",
)
def test_answers(profile, spark):
    from pyspark import StorageLevel

    df = spark.createDataFrame([("oslo", 2.0), ("cairo", 30.5)], "city string, degrees double")
    questions = {
        "rows": lambda frame: frame.count(),
        "columns": lambda frame: frame.columns,
        "warm": lambda frame: [row["city"] for row in frame.where("degrees > 20").collect()],
    }
    answers = profile(df, questions, StorageLevel.MEMORY_ONLY)
    assert isinstance(answers, dict), "profile は dict を返す必要があります。return 文はありますか。"
    assert list(answers) == list(questions), "名前が質問の名前と一致しないか、順序が違います。"
    assert answers == {"rows": 2, "columns": ["city", "degrees"], "warm": ["cairo"]}, (
        "正しくない答えがあります。"
    )
    assert profile(df, {}, StorageLevel.MEMORY_ONLY) == {}, "質問がないときは {} を返す必要があります。"


@test_case(
    name="level",
    success_message="質問をしている間、行は指定されたレベルで永続化されています。",
    failure_message="質問をしている間、指定されたレベルで何かが永続化されている必要があります。",
)
def test_level(profile, spark):
    from pyspark import StorageLevel

    def level_now(frame):
        frame.count()
        stored = spark.sparkContext._jsc.sc().getRDDStorageInfo()
        levels = [info.storageLevel() for info in stored]
        return [(level.useDisk(), level.useMemory()) for level in levels]

    df = spark.range(10).selectExpr("id", "id * id AS square")
    questions = {"first": level_now, "second": level_now}
    answers = profile(df, questions, StorageLevel.DISK_ONLY)
    assert (True, False) in answers["second"], "DISK_ONLY で永続化されたものがありませんでした。"


@test_case(
    name="nothing left",
    success_message="呼び出しの後、永続化されたまま残っているものはありません。",
    failure_message="呼び出しの前に永続化されていなかったものが、呼び出しの後に残っています。",
)
def test_nothing_left(profile, spark):
    from pyspark import StorageLevel

    df = spark.range(10).selectExpr("id", "id + 1 AS next")
    persisted = spark.sparkContext._jsc.getPersistentRDDs
    before = persisted().size()
    profile(df, {"rows": lambda frame: frame.count()}, StorageLevel.MEMORY_ONLY)
    assert persisted().size() <= before, "呼び出しの後に、永続化されたまま残っているものがあります。"


@test_case(
    name="error",
    success_message="質問の例外は呼び出し側に届きます。",
    failure_message="質問が送出した例外は、そのまま呼び出し側に届く必要があります。",
)
def test_error(profile, spark):
    from pyspark import StorageLevel

    class Unanswerable(Exception):
        pass

    def question(frame):
        raise Unanswerable

    try:
        profile(spark.range(3), {"why": question}, StorageLevel.MEMORY_ONLY)
    except Unanswerable:
        return
    raise AssertionError("profile から例外が出てきませんでした。")
