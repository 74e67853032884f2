"""How long an assignment's cluster takes to start, in the sandbox of a real submission.

A record tells the time of sandbox and notebook as a whole. So a notebook that only imports what it
needs and one that has the cluster are run, each in as many sandboxes at once as the batch has
slots, and the means are subtracted.
"""

from __future__ import annotations

import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import nbformat

from benchmarks.speed.classes import LANGUAGE
from benchmarks.speed.commands import CommandFailed
from shardwork.course import Assignment, Course
from shardwork.sandbox import isolation
from shardwork.sandbox.session import Session
from shardwork.sandbox.zygote import Zygote

STARTS = {
    "lab.spark(": "lab.spark().sparkContext.parallelize([1], 1)",
    "lab.dask_client(": "lab.dask_client()",
    "run_ranks(": "lab.run_ranks(max, 2)",
}
"""What starts a cluster, by what stands in a notebook, or in its public checks, that has one."""
IMPORTS = {
    "lab.spark(": "import pyspark.sql\nfrom shardwork import lab",
    "lab.dask_client(": "import distributed\nfrom shardwork import lab",
    "run_ranks(": "import torch.distributed\nfrom shardwork import lab",
}


def calls_in(text: str) -> list[str]:
    """Return which of STARTS stand in the text."""
    return [call for call in STARTS if call in text]


def cluster_start_s(course: Course, assignment: Assignment, slots: int) -> float:
    """Return the wall seconds of starting everything that the released notebook starts; 0 if none.

    Each kind of cluster counts once: a notebook starts one and keeps it. CommandFailed if it does
    not start.
    """
    folder = course.release / LANGUAGE / assignment.name
    calls = calls_in(_text(folder))
    if not calls:
        return 0.0
    imports = "\n".join(IMPORTS[call] for call in calls)
    starting = "\n".join(STARTS[call] for call in calls)
    # A Spark session starts with the sandbox of an assignment that has one.
    cluster = msgspec.structs.replace(assignment.cluster, spark_master=None)
    without = _seconds(course, msgspec.structs.replace(assignment, cluster=cluster), imports, slots)
    started = _seconds(course, assignment, f"{imports}\n{starting}", slots)
    return round(max(0.0, started - without), 2)


def _seconds(course: Course, assignment: Assignment, source: str, slots: int) -> float:
    """Return the mean wall seconds of a sandbox and of a notebook with this one cell."""
    folder = course.release / LANGUAGE / assignment.name
    plan = isolation.plan(assignment, course.config.isolation, {LANGUAGE: folder})
    files = isolation.seen_from_inside(course.config.isolation, LANGUAGE, folder)
    zygote = Zygote(plan)
    # In this thread, which lives as long as it is needed: a zygote ends with its parent's thread.
    if not plan.single_use:
        zygote.start()

    def seconds(_: int) -> float:
        cell = nbformat.v4.new_code_cell(source, id="start")
        session = Session(assignment, zygote, nbformat.v4.new_notebook(cells=[cell]), files)
        try:
            session.open()
        finally:
            session.close()
        if any(outcome.status != "ran" for outcome in session.outcomes.values()):
            raise CommandFailed(f"{assignment.name}: no cluster started: {session.outcomes}")
        return session.sandbox_s + session.notebook_s

    try:
        with ThreadPoolExecutor(slots) as pool:
            return statistics.mean(pool.map(seconds, range(slots)))
    finally:
        zygote.close()


def _text(folder: Path) -> str:
    paths = [*folder.glob("*.ipynb"), *folder.glob("tests/*.py")]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)
