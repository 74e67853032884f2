"""What the Dask probe relies on in dask 2026.8: a Dask upgrade should fail here first."""

from __future__ import annotations

import dask
import pytest

from shardwork.probes import dask as probe

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
