"""What the Dask probe relies on in dask 2026.8: a Dask upgrade should fail here first."""

from __future__ import annotations

import cloudpickle
import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from shardwork.lab import pin_dask
from shardwork.probes import dask as probe
from shardwork.probes.server import Server
from shardwork.wire import Ref

pytestmark = pytest.mark.functional


def add(values: list[int]) -> int:
    return sum(values)


def test_delayed_inputs_call_the_function_only_when_computed() -> None:
    loaded: list[object] = []

    def load(argument: object) -> object:
        loaded.append(argument)
        return argument

    parts = probe.delayed_calls(load, [1, 2, 3])
    assert loaded == []
    assert probe.compute(dask.delayed(add)(parts)) == 6
    assert sorted(loaded, key=str) == [1, 2, 3]


def test_a_chain_of_eight_has_depth_eight_with_its_first_load() -> None:
    total, *rest = probe.delayed_calls(lambda n: n, list(range(8)))
    for part in rest:
        total = dask.delayed(add)([total, part])
    # 8 loads and 7 additions; the longest path is one load and all 7 additions
    assert probe.graph(total) == {"tasks": 15, "depth": 8, "fan_in": 2}


def test_a_binary_tree_over_eight_has_depth_four_with_its_loads() -> None:
    level = probe.delayed_calls(lambda n: n, list(range(8)))
    while len(level) > 1:
        level = [dask.delayed(add)(level[i : i + 2]) for i in range(0, len(level), 2)]
    assert probe.graph(level[0]) == {"tasks": 15, "depth": 4, "fan_in": 2}


def test_a_star_has_the_fan_in_of_all_its_parts() -> None:
    parts = probe.delayed_calls(lambda n: n, list(range(8)))
    assert probe.graph(dask.delayed(add)(parts)) == {"tasks": 9, "depth": 2, "fan_in": 8}


def test_importing_the_probe_pins_what_graphs_depend_on() -> None:
    assert dask.config.get("scheduler") == "sync"
    assert dask.config.get("array.rechunk.method") == "tasks"
    assert dask.config.get("dataframe.shuffle.method") == "tasks"
    # So that an array is a graph of layers: query planning is settable only before the import.
    assert isinstance(da.ones(3).__dask_graph__(), HighLevelGraph)


def test_a_live_client_keeps_its_scheduler_when_the_settings_are_pinned() -> None:
    with dask.config.set(scheduler="dask.distributed"):  # what a client sets
        pin_dask()
        assert dask.config.get("scheduler") == "dask.distributed"


def test_blockwise_steps_are_fused_into_one_task_per_block() -> None:
    # the example of dask's own documentation of fusion: 1 task instead of 4 for each block
    x = (da.ones(100, chunks=1) + 1) * 2 - 3
    assert len(x.__dask_graph__()) == 400
    assert probe.graph(x) == {"tasks": 100, "depth": 1, "fan_in": 0}


def test_layers_come_in_the_order_in_which_they_were_built() -> None:
    x = probe.blocks(lambda i: 1.0, ((2, 2),), "<f8")
    assert probe.layers((x + 1).rechunk(4)) == [
        {"name": "input", "type": "MaterializedLayer", "inputs": 0},
        {"name": "add", "type": "Blockwise", "inputs": 1},
        {"name": "rechunk-merge", "type": "MaterializedLayer", "inputs": 1},
    ]


def test_a_second_rechunk_is_a_second_layer() -> None:
    x = probe.blocks(lambda i, j: 1.0, ((2, 2), (2, 2)), "<f8").rechunk((4, 1)).rechunk((4, 2))
    assert [layer["name"] for layer in probe.layers(x)].count("rechunk-merge") == 2


def test_a_table_that_is_an_argument_of_eight_tasks_is_embedded_eight_times() -> None:
    table = pd.DataFrame({"x": np.random.default_rng(0).random(10_000)})  # 80 kB
    embedded = [dask.delayed(len_of)(table, i) for i in range(8)]
    shared = dask.delayed(table)
    referred = [dask.delayed(len_of)(shared, i) for i in range(8)]
    many, once = (probe.payload(dask.delayed(add)(parts)) for parts in (embedded, referred))
    assert many["total_bytes"] > 8 * 80_000
    assert 80_000 < once["total_bytes"] < 2 * 80_000
    assert 80_000 < once["largest_bytes"] < 100_000


def test_a_global_that_a_function_of_the_notebook_uses_counts_as_embedded() -> None:
    cell: dict[str, object] = {"table": b"x" * 50_000, "__name__": "__main__"}
    exec("def look_up(i):\n    return table[i]", cell)  # what a notebook cell is
    assert probe.payload(dask.delayed(cell["look_up"])(1))["total_bytes"] > 50_000


def test_an_instrument_does_not_count_as_embedded() -> None:
    server = Server.__new__(Server)  # its sockets and locks could not be pickled
    instrument = server._instrument(Ref("instrument.call", 7), None)
    parts = probe.delayed_calls(instrument, [1, 2])
    assert probe.payload(dask.delayed(add)(parts))["total_bytes"] < 10_000


def test_a_function_that_calls_an_instrument_has_a_name_for_dask_and_can_be_sent_away() -> None:
    server = Server.__new__(Server)
    first, second = (server._instrument(Ref("instrument.call", n), None) for n in (7, 8))
    assert tokenize(first, ensure_deterministic=True) == tokenize(first)
    assert tokenize(first) != tokenize(second)
    elsewhere = cloudpickle.loads(cloudpickle.dumps(first))
    with pytest.raises(RuntimeError, match="own process only"):
        elsewhere(1)


def len_of(table: pd.DataFrame, _: int) -> int:
    return len(table)
