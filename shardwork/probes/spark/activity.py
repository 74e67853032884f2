"""What Spark ran: jobs, stages and tasks, and what they read, wrote and sent."""

from __future__ import annotations

from typing import Any

from shardwork import lab
from shardwork.probes.server import question

MAX_TASKS = 10_000
"""Tasks of one stage that are looked at, for the largest one."""


@question("spark.mark")
def mark() -> int:
    """Return the id that the next job of this application will have."""
    return max(_job_ids(), default=-1) + 1


@question("spark.since")
def since(first: int) -> dict[str, Any]:
    """Sum up the jobs from id `first` on, and list their stages.

    A stage that was skipped (its shuffle files were there already) counts for nothing.
    """
    jobs = [number for number in _job_ids() if number >= first]
    store = _status_store()
    found = [store.job(job) for job in jobs]
    numbers = {int(stage) for job in found for stage in _ints(job.stageIds())}
    attempts = [_last_attempt(store, number) for number in sorted(numbers)]
    # When the store is full it forgets skipped stages first, however new they are.
    skipped = sum(int(job.numSkippedStages()) for job in found)
    if attempts.count(None) > skipped:
        raise RuntimeError("Spark has forgotten stages that were run: too many ran since `mark`")
    ran = [one for one in attempts if one is not None and str(one.status()) != "SKIPPED"]
    by_stage = [_describe(store, one) for one in ran]

    def total(name: str) -> int:
        return sum(stage[name] for stage in by_stage)

    return {
        "jobs": len(jobs),
        "stages": len(by_stage),
        "tasks": total("tasks"),
        "shuffle_write_bytes": total("shuffle_write_bytes"),
        "shuffle_read_bytes": total("shuffle_read_bytes"),
        "input_records": total("input_records"),
        "result_bytes": total("result_bytes"),
        "memory_spilled_bytes": total("memory_spilled_bytes"),
        "max_task_shuffle_records": max(
            (stage["max_task_shuffle_records"] for stage in by_stage), default=0
        ),
        "by_stage": by_stage,
    }


def _last_attempt(store: Any, number: int) -> Any:
    """Return the last attempt of a stage, None if the store no longer knows the stage."""
    from py4j.protocol import Py4JJavaError

    try:
        return store.lastStageAttempt(number)
    except Py4JJavaError as error:
        if error.java_exception.getClass().getSimpleName() != "NoSuchElementException":
            raise
        return None


def _describe(store: Any, stage: Any) -> dict[str, int]:
    read_records = int(stage.shuffleReadRecords())
    return {
        "number": int(stage.stageId()),
        "tasks": int(stage.numCompleteTasks()),
        "input_records": int(stage.inputRecords()),
        "result_bytes": int(stage.resultSize()),
        "memory_spilled_bytes": int(stage.memoryBytesSpilled()),
        "shuffle_write_bytes": int(stage.shuffleWriteBytes()),
        "shuffle_write_records": int(stage.shuffleWriteRecords()),
        "shuffle_read_bytes": int(stage.shuffleReadBytes()),
        "shuffle_read_records": read_records,
        "max_task_shuffle_records": _largest_task(store, stage) if read_records else 0,
    }


def _largest_task(store: Any, stage: Any) -> int:
    """Return the most shuffle records that one task of the stage read."""
    tasks = store.taskList(stage.stageId(), stage.attemptId(), MAX_TASKS)
    metrics = [tasks.apply(i).taskMetrics() for i in range(tasks.size())]
    return max(
        (int(one.get().shuffleReadMetrics().recordsRead()) for one in metrics if one.isDefined()),
        default=0,
    )


def _job_ids() -> list[int]:
    """Return the ids of all jobs, when every event has reached the status store."""
    lab.spark().sparkContext._jsc.sc().listenerBus().waitUntilEmpty()
    jobs = _status_store().jobsList(None)
    return [int(jobs.apply(i).jobId()) for i in range(jobs.size())]


def _status_store() -> Any:
    return lab.spark().sparkContext._jsc.sc().statusStore()


def _ints(scala_seq: Any) -> list[int]:
    return [int(scala_seq.apply(i)) for i in range(scala_seq.size())]
