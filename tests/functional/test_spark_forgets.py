"""What the probe says when Spark's status store is full and forgets stages (pyspark 4.3)."""

from __future__ import annotations

from collections.abc import Iterator
from operator import add
from typing import Any

import pytest

from shardwork import lab
from shardwork.lab import spark_session
from shardwork.probes.spark import activity, rdd

pytestmark = [pytest.mark.functional, pytest.mark.filterwarnings("default")]

RETAINED = 50


@pytest.fixture(scope="module", autouse=True)
def _forgetful() -> Iterator[None]:
    settings = spark_session._settings

    def forgetful(*args: Any) -> dict[str, str]:
        assert int(settings(*args)["spark.ui.retainedStages"]) >= 20_000
        return settings(*args) | {"spark.ui.retainedStages": str(RETAINED)}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spark_session, "_settings", forgetful)
        lab.spark()
        yield
        lab.stop()


def chain(shuffles: int) -> Any:
    """An RDD behind so many shuffles."""
    made: Any = rdd.make_rdd([[("a", 1), ("b", 2)]])
    for number in range(shuffles):
        made = made.reduceByKey(add, number % 2 + 1)
    return made


def fill() -> None:
    """Run stages until the store is full of them."""
    for _ in range(RETAINED):
        rdd.make_rdd([[1]]).count()


def test_skipped_stages_that_are_forgotten_count_for_nothing() -> None:
    made = chain(2)
    made.collect()
    fill()
    before = activity.mark()
    for _ in range(20):
        made.collect()
    seen = activity.since(before)
    # One stage of each job is run, the last; its two ancestors are skipped.
    assert (seen["jobs"], seen["stages"]) == (20, 20)
    store = activity._status_store()
    numbers = [
        n for job in range(before, before + 20) for n in activity._ints(store.job(job).stageIds())
    ]
    assert len(numbers) == 60
    with pytest.raises(Exception, match="No stage with id"):
        for number in numbers:
            store.lastStageAttempt(number)


def test_stages_that_were_run_and_are_forgotten_are_missed() -> None:
    before = activity.mark()
    fill()
    fill()
    with pytest.raises(RuntimeError, match="forgotten stages"):
        activity.since(before)
