"""Arrays in the Dask probe: inputs of given blocks, layouts, and what stays uncomputed."""

from __future__ import annotations

import math

import dask.array as da
import numpy as np
import pytest

from shardwork.judge.dask import Dask
from shardwork.probes import dask as probe

pytestmark = pytest.mark.functional

CHUNKS = ((2, 3), (4, 1, 2))


def test_an_array_of_given_values_has_them_in_the_given_blocks() -> None:
    values = np.arange(35, dtype="i4").reshape(5, 7)
    x = probe.array_of(values, CHUNKS)
    assert x.chunks == CHUNKS
    computed = probe.compute_array(x)
    assert computed.dtype == np.int32
    assert (computed == values).all()
    assert (probe.compute_array(x.blocks[1, 2]) == values[2:, 5:]).all()


def test_blocks_are_loaded_when_they_are_computed_and_only_those_that_are_needed() -> None:
    loaded: list[tuple[int, ...]] = []

    def load(*index: int) -> float:
        loaded.append(index)
        return float(10 * index[0] + index[1])

    x = probe.blocks(load, CHUNKS, "<f4")
    probe.array_layout(x[:2] + 1), probe.graph(x[:2] + 1)
    assert loaded == []
    top = probe.compute_array(x[:2] + 1)
    assert sorted(loaded) == [(0, 0), (0, 1), (0, 2)]
    assert top.dtype == np.float32
    assert top[0].tolist() == [1.0, 1.0, 1.0, 1.0, 2.0, 3.0, 3.0]


def test_a_block_that_cannot_be_loaded_makes_an_array_that_can_be_described() -> None:
    def refuse(*index: int) -> float:
        raise RuntimeError("not to be computed")

    x = probe.blocks(refuse, ((1000,) * 100, (10_000,) * 5), "<f8")
    assert probe.array_layout(x)["shape"] == (100_000, 50_000)
    assert probe.graph(x.rechunk({1: -1}))["tasks"] == 500 + 100
    with pytest.raises(ValueError, match="too large"):
        probe.compute_array(x)
    with pytest.raises(RuntimeError, match="not to be computed"):
        probe.compute_array(x[0, 0])


def test_both_sides_draw_the_same_random_blocks() -> None:
    x = probe.random(5, CHUNKS, 1e8, 0.5)
    known = Dask.random_values(5, CHUNKS, offset=1e8, scale=0.5)
    assert (probe.compute_array(x) == known).all()
    assert abs(known.mean() - 1e8) < 0.5
    line = Dask.random_values(5, ((3, 4),))
    assert (probe.compute_array(probe.random(5, ((3, 4),), 0.0, 1.0)) == line).all()


def test_a_layout_says_what_the_largest_block_takes() -> None:
    assert probe.array_layout(da.ones((5, 7), chunks=CHUNKS, dtype="f4")) == {
        "shape": (5, 7),
        "chunks": CHUNKS,
        "dtype": "float32",
        "num_blocks": (2, 3),
        "largest_block_bytes": 3 * 4 * 4,
    }


def test_sizes_that_dask_does_not_know_are_none() -> None:
    x = da.ones(6, chunks=2)
    found = probe.array_layout(x[x > 0])
    assert math.isnan(x[x > 0].shape[0])
    assert found["shape"] == (None,)
    assert found["chunks"] == ((None, None, None),)
    assert found["largest_block_bytes"] is None
    assert probe.compute_array(x[x > 0]).tolist() == [1.0] * 6


def test_one_block_loads_what_it_needs() -> None:
    loaded: list[tuple[int, ...]] = []

    def load(*index: int) -> float:
        loaded.append(index)
        return 1.0

    x = probe.blocks(load, ((4,) * 5, (4,) * 5), "<f8")
    halo = x.map_overlap(lambda block: block, depth=1, boundary="none", meta=x._meta)
    assert probe.compute_array(probe.block_of(halo, [2, 2])).shape == (4, 4)
    assert sorted(loaded) == [(i, j) for i in (1, 2, 3) for j in (1, 2, 3)]


def test_dask_rechunks_in_one_call_or_in_steps_below_a_limit() -> None:
    x = probe.blocks(lambda *_: 1.0, ((10,) * 8, (10,) * 8, (10,) * 8), "<f8")
    chunks = ((80,), (2,) * 40, (20,) * 4)
    direct, stepwise = probe.rechunked(x, chunks, None), probe.rechunked(x, chunks, 8 * 80 * 40)
    assert direct.chunks == stepwise.chunks == chunks
    assert probe.graph(stepwise)["tasks"] > probe.graph(direct)["tasks"]


def test_a_result_without_axes_is_an_array_too() -> None:
    total = probe.compute_array(da.ones((2, 2)).sum())
    assert isinstance(total, np.ndarray)
    assert total.shape == ()
