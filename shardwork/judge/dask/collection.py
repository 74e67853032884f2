"""Handles of Dask collections: what is true of all of them, and `Delayed`."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from shardwork.judge.handle import Handle
from shardwork.judge.observed import typed

T = TypeVar("T")


class GraphShape(msgspec.Struct, frozen=True):
    """A Dask graph after Dask's own optimisation; `depth` counts tasks on the longest path."""

    tasks: int
    depth: int
    fan_in: int


class Layer(msgspec.Struct, frozen=True):
    """A layer of a graph as it was built: `Blockwise` or `MaterializedLayer`, mostly."""

    name: str
    type: str
    inputs: int
    """Layers that it takes values from."""


class Payload(msgspec.Struct, frozen=True):
    """What the tasks of the optimised graph carry, each pickled by itself, in bytes."""

    total_bytes: int
    largest_bytes: int
    nodes: int
    """Tasks and plain data."""


class Collection(Handle):
    """A Dask collection in the sandbox."""

    def graph(self) -> GraphShape:
        """Describe the graph after optimisation, without computing anything."""
        return typed(self._dialogue.ask("dask.graph", self), GraphShape)

    def run(self) -> None:
        """Compute, one task at a time, and drop each result: for `dask.watch` to look at."""
        self._dialogue.ask("dask.run", self)

    def layers(self) -> list[Layer]:
        """List the layers as they were built, inputs before results."""
        return typed(self._dialogue.ask("dask.layers", self), list[Layer])

    def payload(self) -> Payload:
        """Measure what is embedded in the tasks: a table in eight tasks counts eight times."""
        return typed(self._dialogue.ask("dask.payload", self), Payload)


class Delayed(Collection):
    """A Dask `Delayed` in the sandbox."""

    kind = "dask.delayed"

    def compute(self, as_: type[T]) -> T:
        """Compute with the synchronous scheduler and return the value, as type `as_`."""
        return typed(self._dialogue.ask("dask.compute", self), as_)
