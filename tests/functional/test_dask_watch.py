"""Watching Dask's local schedulers: computes, nested ones, tasks, and what is alive at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask.callbacks import Callback

from shardwork.probes import dask as probe
from shardwork.probes.dask.watching import NotNow, no_computes

pytestmark = pytest.mark.functional


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_computes_and_tasks_are_counted_under_each_local_scheduler(scheduler: str) -> None:
    parts = [dask.delayed(int)(i) for i in range(4)]
    probe.watch()
    dask.delayed(sum)(parts).compute(scheduler=scheduler)
    dask.compute(*parts, scheduler=scheduler)
    found = probe.watched()
    assert (found["computes"], found["nested_computes"]) == (2, 0)
    assert found["tasks"] == 4 + 1 + 4
    probe.watch()
    assert probe.watched()["computes"] == 0


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_a_compute_inside_a_task_is_nested(scheduler: str) -> None:
    def report(n: int) -> int:
        return int(dask.delayed(int)(n).compute(scheduler=scheduler))

    probe.watch()
    dask.delayed(report)(1).compute(scheduler=scheduler)
    found = probe.watched()
    assert (found["computes"], found["nested_computes"], found["tasks"]) == (2, 1, 2)


def test_a_computation_that_fails_leaves_nothing_behind() -> None:
    before = Callback.active
    probe.watch()
    with pytest.raises(ZeroDivisionError):
        dask.delayed(divmod)(1, 0).compute()
    dask.delayed(int)(1).compute()
    assert probe.watched()["nested_computes"] == 0
    assert Callback.active == before


def test_callbacks_of_the_notebook_still_work() -> None:
    seen: list[Any] = []
    probe.watch()
    with Callback(posttask=lambda key, *_: seen.append(key)):
        dask.delayed(int)(1).compute()
    assert len(seen) == probe.watched()["tasks"] == 1


def test_a_sum_keeps_no_block_and_a_second_use_keeps_them_all() -> None:
    block = 8 * 1000 * 10
    x = probe.random(0, ((1000,) * 20, (10,)), 0.0, 1.0)
    probe.watch()
    x.sum().compute()
    # a block is drawn and summed up in one fused task, and only its sum is ever in the cache
    assert probe.watched()["peak_bytes"] < 0.1 * block
    probe.watch()
    ((x - x.mean(axis=0)) ** 2).sum().compute()
    found = probe.watched()
    assert 20 * block < found["peak_bytes"] < 23 * block
    assert found["largest_bytes"] == block


def test_blocks_that_are_run_and_dropped_are_not_put_together() -> None:
    block = 8 * 1000 * 10
    x = probe.random(0, ((1000,) * 20, (10,)), 0.0, 1.0)
    probe.watch()
    probe.run(x.rechunk((2000, 10)))
    found = probe.watched()
    assert found["largest_bytes"] == 2 * block
    assert 4 * block <= found["peak_bytes"] < 4.1 * block


def test_inputs_of_a_running_task_count_although_they_are_dropped_when_it_ends() -> None:
    # two blocks and what they are joined to are alive at once
    a, b = (dask.delayed(np.full)(1000, float(i)) for i in range(2))
    probe.watch()
    dask.delayed(np.concatenate)([a, b]).sum().compute()
    assert probe.watched()["peak_bytes"] >= 8 * 4000


def test_functions_that_dask_must_call_for_their_meta_are_counted() -> None:
    df = dd.from_pandas(pd.DataFrame({"k": [1, 1, 2], "v": [1.0, 2.0, 3.0]}), npartitions=2)
    x = da.ones((4, 4), chunks=2)

    def calls(build: Callable[[], Any]) -> int:
        probe.watch()
        build()
        return probe.watched()["meta_calls"]

    head, meta = (lambda part: part.head(1)), df._meta
    assert calls(lambda: df.map_partitions(head, meta=meta).dtypes) == 0
    assert calls(lambda: df.groupby("k").apply(head, meta=meta).dtypes) == 0
    assert calls(lambda: df.groupby("k").v.sum().dtype) == 0
    assert calls(lambda: x.map_blocks(abs, dtype=x.dtype, meta=np.empty((0, 0)))) == 0
    assert calls(lambda: (x + 1).sum().dtype) == 0
    assert calls(lambda: df.map_partitions(head).dtypes) == 1
    with pytest.warns(UserWarning, match="`meta` is not specified"):
        assert calls(lambda: df.groupby("k").v.apply(head).dtype) == 1
    assert calls(lambda: x.map_blocks(abs)) == 1


def test_computations_can_be_refused() -> None:
    with no_computes(), pytest.raises(NotNow):
        dask.delayed(int)(1).compute(scheduler="threads")
    assert dask.delayed(int)(1).compute() == 1


def rows_met(collection: Any) -> int:
    probe.watch()
    collection.compute(scheduler="sync")
    return probe.watched()["rows_met"]


def test_rows_meet_where_partitions_come_together() -> None:
    df = probe.frame({"k": list(range(12)), "v": list(range(12))}, [4, 4, 4], None, None, None)
    assert rows_met(df.map_partitions(lambda part: part.head(1), meta=df._meta).v) == 3
    assert rows_met(df.repartition(npartitions=1).map_partitions(len, meta=("n", "int64"))) == 12
    assert rows_met(df.partitions[:1]) == 0
    lists = df.groupby("k").v.agg(list)  # one list for each key
    assert rows_met(lists) == 12
    one_key = df.assign(k=1).groupby("k").v.agg(list)
    assert rows_met(one_key) == 12  # three rows, of a list of four values each


def test_tasks_of_a_shuffle_are_counted() -> None:
    df = probe.frame({"k": list(range(12))}, [4, 4, 4], None, None, None)
    probe.watch()
    df.k.sum().compute(scheduler="sync")
    assert probe.watched()["shuffle_tasks"] == 0
    df.shuffle("k").compute(scheduler="sync")
    assert probe.watched()["shuffle_tasks"] >= 9  # at least one for each pair of partitions


@pytest.mark.parametrize("told", [True, False])
def test_a_reduction_that_guesses_its_meta_is_noticed(told: bool) -> None:
    called: list[int] = []

    def first(part: pd.DataFrame) -> pd.DataFrame:
        called.append(len(part))
        return part.head(1)

    df = probe.frame({"k": [1, 2, 3], "told": [told] * 3}, [2, 1], None, None, None)
    probe.watch()
    result = df.reduction(first, aggregate=first, **({"meta": df._meta} if told else {}))
    assert list(result.columns) == ["k", "told"]
    assert bool(called) is not told
    assert (probe.watched()["meta_calls"] > 0) is not told
    assert probe.watched()["computes"] == 0
