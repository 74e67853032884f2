"""What travels in the graphs that are run, and where a function is called from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dask
import pytest

from shardwork.probes.dask.runs import in_tasks, stop_watching, watch_graphs, watched_graphs

pytestmark = pytest.mark.functional

TABLE = {f"code {i}": i for i in range(5000)}


@pytest.fixture(autouse=True)
def _unwatched() -> Iterator[None]:
    yield
    stop_watching()


def look_up(number: int, table: dict[str, int]) -> int:
    return table[f"code {number}"]


def run(results: list[Any]) -> dict[str, int]:
    watch_graphs(20_000)
    dask.compute(*results, scheduler="sync")
    (only,) = watched_graphs()
    return only


def test_a_table_is_heavy_in_each_task_that_carries_it() -> None:
    """pickle needs 3 bytes and more for each of 5000 keys of 8 letters: above 20 kB."""
    as_argument = run([dask.delayed(look_up)(i, TABLE) for i in range(4)])
    assert (as_argument["tasks"], as_argument["heavy"]) == (4, 4)
    assert as_argument["largest_bytes"] > 5000 * 8

    def in_closure(number: int, table: dict[str, int] = TABLE) -> int:
        return look_up(number, table)

    assert run([dask.delayed(in_closure)(i) for i in range(4)])["heavy"] == 4


def test_a_table_with_a_key_of_its_own_is_heavy_once() -> None:
    table = dask.delayed(TABLE)
    found = run([dask.delayed(look_up)(i, table) for i in range(4)])
    assert (found["tasks"], found["heavy"]) == (4, 1)


def test_runs_are_listed_one_by_one_until_the_watch_ends() -> None:
    watch_graphs(1)
    for n in (1, 3):
        dask.compute(*[dask.delayed(int)(i) for i in range(n)], scheduler="threads")
    assert [run["tasks"] for run in watched_graphs()] == [1, 3]
    dask.delayed(int)(1).compute(scheduler="sync")
    assert watched_graphs() == []


def test_a_function_tells_whether_it_is_called_in_a_task_and_in_which() -> None:
    calls: list[tuple[object, ...]] = []
    (load,) = in_tasks(lambda *args: calls.append(args), "load")

    def both(a: str, b: str) -> None:
        load(a)
        load(b)

    def nested() -> None:
        dask.delayed(load)("inside").compute(scheduler="sync")

    watch_graphs(1)
    load("early")
    dask.compute(dask.delayed(both)("a", "b"), dask.delayed(load)("c"), scheduler="sync")
    dask.delayed(nested)().compute(scheduler="sync")
    running = {path: running for running, _, path in calls}
    assert running == {"early": 0, "a": 1, "b": 1, "c": 1, "inside": 2}
    task = {path: task for _, task, path in calls}
    assert task["a"] == task["b"] != task["c"]


def test_in_other_threads_the_task_is_not_known() -> None:
    calls: list[tuple[object, ...]] = []
    (load,) = in_tasks(lambda *args: calls.append(args), "load")
    watch_graphs(1)
    dask.delayed(load)("a").compute(scheduler="threads")
    assert calls == [(1, 0, "a")]
