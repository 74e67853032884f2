"""Arrays: inputs of given blocks, and what a grader asks of an array."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterator
from itertools import accumulate, product
from typing import Any

import numpy as np
from dask._task_spec import Task

from shardwork.probes.numbers import draw_block
from shardwork.probes.server import question

MAX_BYTES = 24 << 20
"""Of an array that is computed for the judge; a message holds 32 MiB."""

Chunks = tuple[tuple[int, ...], ...]


@question("dask.array")
def array_of(values: np.ndarray[Any, Any], chunks: Chunks) -> object:
    """Make an array of these values; each block is a task that carries its part of them."""
    starts = [list(accumulate(sizes, initial=0)) for sizes in chunks]

    def part(index: tuple[int, ...]) -> Any:
        cut = tuple(slice(s[i], s[i + 1]) for s, i in zip(starts, index, strict=True))
        return values[cut].copy()

    tasks = {index: (_given, part(index)) for index in _indices(chunks)}
    return _array(tasks, chunks, values.dtype)


@question("dask.blocks")
def blocks(load: Callable[..., Any], chunks: Chunks, dtype: str) -> object:
    """Make an array whose block (i, j, ...) is `load(i, j, ...)`, called when it is computed.

    `load` returns an array of the block's shape, or one number for the whole block.
    """

    def block(index: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        value = np.asarray(load(*index), dtype=dtype)
        return np.full(shape, value, dtype) if value.ndim == 0 else value.reshape(shape)

    tasks = {index: (block, index, _shape(chunks, index)) for index in _indices(chunks)}
    return _array(tasks, chunks, np.dtype(dtype))


@question("dask.random")
def random(seed: int, chunks: Chunks, offset: float, scale: float) -> object:
    """Make a float64 array of normal numbers; each block is drawn when it is computed."""
    tasks = {
        index: (draw_block, seed, index, _shape(chunks, index), offset, scale)
        for index in _indices(chunks)
    }
    return _array(tasks, chunks, np.dtype("f8"))


@question("dask.rechunked")
def rechunked(array: Any, chunks: Chunks, limit_bytes: int | None) -> object:
    """Rechunk an array in one call; `limit_bytes` bounds the blocks of Dask's own steps."""
    return array.rechunk(chunks, block_size_limit=limit_bytes)


@question("dask.block_of")
def block_of(array: Any, index: list[int]) -> object:
    """Return one block of an array, as an array; computing it takes only what it needs."""
    return array.blocks[tuple(index)]


@question("dask.array_layout")
def array_layout(array: Any) -> dict[str, Any]:
    """Describe chunks and type; a size that Dask does not know is None."""
    largest = [max(sizes, default=0) for sizes in array.chunks]
    unknown = any(math.isnan(size) for size in largest)
    return {
        "shape": tuple(_known(size) for size in array.shape),
        "chunks": tuple(tuple(_known(size) for size in sizes) for sizes in array.chunks),
        "dtype": str(array.dtype),
        "num_blocks": tuple(array.numblocks),
        "largest_block_bytes": None if unknown else int(array.dtype.itemsize * math.prod(largest)),
    }


@question("dask.compute_array")
def compute_array(array: Any) -> np.ndarray[Any, Any]:
    """Compute an array, one task at a time. Raises ValueError above `MAX_BYTES`, by its shape."""
    if not math.isnan(array.nbytes) and array.nbytes > MAX_BYTES:
        raise ValueError(f"an array of {array.nbytes} bytes is too large to be looked at")
    return np.asarray(array.compute(scheduler="sync"))


def _given(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return values


def _indices(chunks: Chunks) -> Iterator[tuple[int, ...]]:
    return product(*(range(len(sizes)) for sizes in chunks))


def _shape(chunks: Chunks, index: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sizes[i] for sizes, i in zip(chunks, index, strict=True))


def _array(tasks: dict[Any, tuple[Any, ...]], chunks: Chunks, dtype: Any) -> object:
    import dask.array as da

    name = f"input-{uuid.uuid4().hex}"
    graph = {(name, *index): Task((name, *index), *task) for index, task in tasks.items()}
    return da.Array(graph, name, chunks=chunks, dtype=dtype)


def _known(size: Any) -> int | None:
    return None if math.isnan(size) else int(size)
