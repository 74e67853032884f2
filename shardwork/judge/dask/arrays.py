"""The handle of a Dask array."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from shardwork.judge.dask.collection import Collection
from shardwork.judge.handle import handle
from shardwork.judge.observed import typed


class ArrayLayout(msgspec.Struct, frozen=True):
    """Chunks and type of a Dask array. A size that Dask does not know is None."""

    shape: tuple[int | None, ...]
    chunks: tuple[tuple[int | None, ...], ...]
    dtype: str
    num_blocks: tuple[int, ...]
    largest_block_bytes: int | None


class Array(Collection):
    """A Dask array in the sandbox."""

    kind = "dask.array"

    def layout(self) -> ArrayLayout:
        """Describe chunks and type, without computing anything."""
        return typed(self._dialogue.ask("dask.array_layout", self), ArrayLayout)

    def block(self, *index: int) -> Array:
        """Return one block; computing it takes those blocks of the inputs that it needs."""
        found = self._dialogue.ask("dask.block_of", self, list(index))
        return handle(self._dialogue, found, Array, "block")

    def compute(self) -> np.ndarray[Any, Any]:
        """Compute, one task at a time; at most 24 MiB, which the array itself must say."""
        return typed(self._dialogue.ask("dask.compute_array", self), np.ndarray)
