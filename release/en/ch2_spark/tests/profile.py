from otter.test_files import test_case

OK_FORMAT = False
name = "profile"
points = None


@test_case(
    name="answers",
    success_message="The answers of a small example are right.",
    failure_message="The answers of a small example are wrong, or not in the order of questions.",
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
    assert isinstance(answers, dict), "profile should return a dict. Is there a return statement?"
    assert list(answers) == list(questions), "The names are not those of the questions, in order."
    assert answers == {"rows": 2, "columns": ["city", "degrees"], "warm": ["cairo"]}, (
        "Some answer is wrong."
    )
    assert profile(df, {}, StorageLevel.MEMORY_ONLY) == {}, "No questions should give {}."


@test_case(
    name="level",
    success_message="While a question is asked, the rows are persisted with the level.",
    failure_message="While a question is asked, something should be persisted with the level.",
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
    assert (True, False) in answers["second"], "Nothing was persisted with DISK_ONLY."


@test_case(
    name="nothing left",
    success_message="Nothing stays persisted after the call.",
    failure_message="After the call something is persisted that was not before.",
)
def test_nothing_left(profile, spark):
    from pyspark import StorageLevel

    df = spark.range(10).selectExpr("id", "id + 1 AS next")
    persisted = spark.sparkContext._jsc.getPersistentRDDs
    before = persisted().size()
    profile(df, {"rows": lambda frame: frame.count()}, StorageLevel.MEMORY_ONLY)
    assert persisted().size() <= before, "Something stays persisted after the call."


@test_case(
    name="error",
    success_message="The exception of a question reaches the caller.",
    failure_message="The exception that a question raises should reach the caller as it is.",
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
    raise AssertionError("No exception came out of profile.")
