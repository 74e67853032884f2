"""What a notebook will need is there before it runs: ranks and workers are forked, Spark is up."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import pytest

from shardwork.course import Cluster, Isolation
from shardwork.errors import MachineError
from shardwork.java import find_java
from shardwork.sandbox import isolation
from shardwork.sandbox.session import Session
from shardwork.sandbox.zygote import Zygote
from tests import sandboxes

WHY_NOT = isolation.problem()
pytestmark = [
    pytest.mark.functional,
    pytest.mark.skipif(WHY_NOT is not None, reason=f"bubblewrap: {WHY_NOT}"),
]
SETUP = """
import os, psutil
from pathlib import Path
from shardwork import lab

def program(pid):
    return Path(f"/proc/{pid}/cmdline").read_text().replace(chr(0), " ")

def parent_of(rank, world_size):
    return program(os.getppid())
"""
RANKS = "print(*lab.run_ranks(parent_of, 2), sep=chr(10))"
WORKERS = """
import os  # a function of the notebook's main module is pickled by value
client = lab.dask_client()
found = client.run(lambda: open(f"/proc/{os.getppid()}/cmdline").read().replace(chr(0), " "))
print(*found.values(), sep=chr(10))
lab.stop()
"""
FORKED = "-m shardwork.inside"


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    plan = isolation.plan(sandboxes.assignment(), Isolation.BUBBLEWRAP, {})
    behind = isolation._imports_in("lab.run_ranks; lab.dask_client")
    begin = msgspec.structs.replace(plan.begin, imports=(*plan.begin.imports, *behind))
    made = Zygote(msgspec.structs.replace(plan, begin=begin))
    yield made
    made.close()


@pytest.fixture
def prints(zygote: Zygote) -> Iterator[Callable[..., list[str]]]:
    """Return the lines that the last cell of a notebook prints."""
    sessions: list[Session] = []

    def run(*sources: str) -> list[str]:
        cells = {f"c{number}": source for number, source in enumerate((SETUP, *sources))}
        session = sandboxes.session(zygote, cells, cell_s=60.0, memory_mb=3072)
        sessions.append(session)
        session.open()
        *_, last = session.outcomes.values()
        assert last.status == "ran", (last.error, last.text)
        return last.text.strip().splitlines()

    yield run
    for session in sessions:
        session.close()


def test_ranks_are_forked(prints) -> None:
    lines = prints(RANKS)
    assert len(lines) == 2
    assert all(FORKED in line for line in lines)


def test_workers_of_dask_are_forked(prints) -> None:
    lines = prints(WORKERS)
    assert len(lines) == 2
    assert all(FORKED in line for line in lines)


KILL = """
for process in psutil.Process().children():
    process.kill()
    while process.status() != psutil.STATUS_ZOMBIE:
        pass
"""


def test_if_the_notebook_ends_them_others_are_started(prints) -> None:
    assert all("rank_server" in line for line in prints(KILL, RANKS))
    assert len(prints(KILL, WORKERS)) == 2


def test_the_session_of_spark_is_there_before_the_first_cell() -> None:
    try:
        find_java()
    except MachineError as error:
        pytest.skip(str(error))
    with_spark = msgspec.structs.replace(
        sandboxes.assignment(memory_mb=3072), cluster=Cluster(spark_master="local[2]")
    )
    zygote = Zygote(isolation.plan(with_spark, Isolation.BUBBLEWRAP, {}))
    zygote.start()
    session = sandboxes.session(zygote, {"code": FOUND}, cell_s=60.0, memory_mb=3072)
    try:
        session.open()
        assert session.outcomes["code"].text.split() == ["True", "3"]
    finally:
        session.close()
        zygote.close()


FOUND = """
from shardwork.lab import spark, spark_session

print(spark_session._current.session is not None, spark().range(3).count())
"""
