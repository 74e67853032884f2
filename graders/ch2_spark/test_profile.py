"""2.8 `profile`: several questions about a DataFrame that is read once, kept, and let go again.

The source of the frames (`spark.cache.source`) notices each reading, and gives other values at the
next one: answers that come from a second reading are wrong, whatever the probes say. What is
persisted, and how, is noted by the questions themselves, while the student's function runs.
"""

from __future__ import annotations

import math
from typing import Any

from shardwork.grading import Storage, blame, same

STEP = 1e6
"""What a second reading adds to every value; the values are below 1000."""
LEVELS = {
    "DISK_ONLY": Storage(disk=True, memory=False),
    "MEMORY_ONLY": Storage(disk=False, memory=True),
}
"""The default level of `cache()` is neither: it is both on disk and in memory."""
NONE = Storage(disk=False, memory=False)


def draw(rng, partitions: int = 3) -> list[list[float]]:
    """Random values, some of them twice, in uneven partitions, one of them empty."""
    sizes = [*rng.integers(3, 12, size=partitions - 1).tolist(), 0]
    drawn = [rng.uniform(-1000.0, 1000.0, size=n).round(3).tolist() for n in sizes]
    drawn[0] += drawn[0][:2]
    return [drawn[i] for i in rng.permutation(partitions).tolist()]


def answers_of(partitions: list[list[float]], *kinds: str) -> dict[str, Any]:
    values = sorted((x for part in partitions for x in part), reverse=True)
    everything = {
        "sum": math.fsum(values),
        "min": values[-1],
        "max": values[0],
        "distinct": len(set(values)),
        "largest": values[:3],
        "count": len(values),
        "columns": ["x"],
    }
    return {kind: everything[kind] for kind in kinds}


def right(got: dict[str, Any], expected: dict[str, Any]) -> bool:
    return same(got, expected, rel=1e-9, abs=1e-6, empty=True)


def filled(moment, before) -> list[Storage]:
    """How the rows are kept that were not `before`."""
    return [storage for rdd, storage in moment.filled if rdd not in before.rdds]


def why_read_again(readings: int, seen, before) -> str | None:
    """Name why each question read the source: nothing is kept, or something that nobody reads."""
    if readings < len(seen):
        return None
    if not any(moment.has_more_than(before) for moment in seen):
        return "NO_CACHE"
    # A copy that was filled by the questions themselves, one after the other, is something else.
    filled_by_them = all(filled(moment, before) for moment in seen) and readings == len(seen)
    return None if filled_by_them else "CACHE_WRONG_PLAN"


def test_answers(student, spark, rng):
    """Every question is answered under its name, in their order; no questions, an empty dict."""
    kinds = ("count", "sum", "columns", "largest", "min", "distinct")
    for names in (kinds, tuple(rng.permutation(kinds).tolist()[:2]), ()):
        data = draw(rng)
        source = spark.cache.source(data, 0.0)  # how often it is read is another check's subject
        got = student.value(
            "profile", source.frame, spark.cache.questions(*names).functions,
            spark.cache.level("MEMORY_ONLY"), as_=dict[str, Any],
        )  # fmt: skip
        assert set(got) == set(names), blame(because="The names are not those of the questions.")
        assert list(got) == list(names), blame(
            because="The names are not in the order of the questions."
        )
        assert right(got, answers_of(data, *names)), blame(because="Some answer is wrong.")


def test_one_pass(student, spark, rng):
    """The source is read once, and all answers are about the same rows."""
    kinds = ("sum", "largest", "max", "count", "min")
    for level in rng.permutation(list(LEVELS)).tolist():
        data = draw(rng, 4)
        source, questions = spark.cache.source(data, STEP), spark.cache.questions(*kinds)
        before = spark.cache.kept()
        got = student.value(
            "profile", source.frame, questions.functions, spark.cache.level(level),
            as_=dict[str, Any],
        )  # fmt: skip
        readings = source.readings()
        assert readings <= 1, blame(
            why_read_again(readings, questions.seen(), before),
            because="The source was read {readings} times.", readings=readings,
        )  # fmt: skip
        # What the values say cannot be made up: only the first reading gives these.
        assert right(got, answers_of(data, *kinds)), blame(
            because="The answers are not those of one reading of the source."
        )


def test_level(student, spark, rng):
    """While the questions are asked, the rows that they read are persisted with the level."""
    for name in rng.permutation(list(LEVELS)).tolist():
        source, questions = spark.cache.source(draw(rng), STEP), spark.cache.questions("sum", "max")
        before = spark.cache.kept()
        student.value(
            "profile", source.frame, questions.functions, spark.cache.level(name),
            as_=dict[str, Any],
        )  # fmt: skip
        seen = questions.seen()
        assert len(seen) == len(questions.functions), blame(
            because="Not every question was asked once."
        )
        readings = source.readings()
        assert readings <= 1, blame(
            why_read_again(readings, seen, before),
            because="The source was read {readings} times.", readings=readings,
        )  # fmt: skip
        for moment in seen:
            levels = filled(moment, before)
            assert levels, blame(because="While a question was asked, nothing was persisted.")
            assert LEVELS[name] in levels, blame("LEVEL_IGNORED", asked=name, found=str(levels))


def test_nothing_left(student, spark, rng):
    """After the call nothing is persisted that was not before."""
    for names in (("sum", "count"), ("columns",), ()):
        source, questions = spark.cache.source(draw(rng), 0.0), spark.cache.questions(*names)
        before = spark.cache.kept()
        student.value(
            "profile", source.frame, questions.functions, spark.cache.level("MEMORY_ONLY"),
            as_=dict[str, Any],
        )  # fmt: skip
        after = spark.cache.kept()
        assert not after.has_more_than(before), blame(
            "LEAK", plans=after.plans - before.plans, rdds=len(after.rdds) - len(before.rdds)
        )


def leaks_anyway(student, spark, data) -> bool:
    """Whether something is left behind also where nothing goes wrong."""
    before = spark.cache.kept()
    questions = spark.cache.questions("sum")
    student.value(
        "profile", spark.cache.source(data, 0.0).frame, questions.functions,
        spark.cache.level("MEMORY_ONLY"), as_=dict[str, Any],
    )  # fmt: skip
    return spark.cache.kept().has_more_than(before)


def test_nothing_left_after_an_error(student, spark, rng):
    """An exception reaches the caller as it is, and nothing stays persisted then either."""
    data = draw(rng)
    whole = spark.cache.source(data, 0.0).frame
    broken = spark.cache.failing(spark.cache.source(data, 0.0).frame, max(max(data)))
    cases = (
        (whole, ("sum", "raises", "count"), "FloatingPointError"),
        (broken, ("sum", "max"), "SparkRuntimeException"),
    )
    for frame, names, error in cases:
        before = spark.cache.kept()
        functions = spark.cache.questions(*names).functions
        raised = student.refusal("profile", frame, functions, spark.cache.level("DISK_ONLY"))
        after = spark.cache.kept()
        assert error in raised, blame(
            because="A question or the DataFrame raised, and the caller did not get the exception."
        )
        if after.has_more_than(before):
            anyway = leaks_anyway(student, spark, draw(rng))
            assert False, blame("LEAK" if anyway else "LEAK_ON_ERROR")


def test_what_belongs_to_others(student, spark, rng):
    """What was persisted before the call still is, also if it is the DataFrame itself."""
    data, other_data = draw(rng), draw(rng)
    other, mine = spark.cache.source(other_data, STEP), spark.cache.source(data, STEP)
    spark.cache.persist(other.frame, spark.cache.level("MEMORY_ONLY"))
    for persisted in (False, True):
        if persisted:
            mine = spark.cache.source(data, STEP)
            spark.cache.persist(mine.frame, spark.cache.level("MEMORY_AND_DISK"))
        levels = [spark.cache.storage(one.frame) for one in (other, mine)]
        names = ("sum", "largest", "count")
        got = student.value(
            "profile", mine.frame, spark.cache.questions(*names).functions,
            spark.cache.level("DISK_ONLY"), as_=dict[str, Any],
        )  # fmt: skip
        after = [spark.cache.storage(one.frame) for one in (other, mine)]
        assert after[0] == levels[0] and (not persisted or after[1] != NONE), blame(
            "DROPS_OTHERS_CACHE", found=str(after), was=str(levels)
        )
        if persisted:
            assert after[1] == levels[1], blame(
                because="A DataFrame that was persisted already has another level after the call."
            )
            assert right(got, answers_of(data, *names)), blame(
                because="The rows that the caller had persisted were not those that were asked."
            )
    spark.cache.release(mine.frame)
    spark.cache.release(other.frame)
