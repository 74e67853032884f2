"""What a grader sees of Dask: handles of its collections, and the shape of their graphs."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from shardwork.judge.dialogue import Dialogue
from shardwork.judge.handle import Handle, handle
from shardwork.judge.observed import typed

T = TypeVar("T")


class GraphShape(msgspec.Struct, frozen=True):
    """A Dask graph after Dask's own optimisation; `depth` counts tasks on the longest path."""

    tasks: int
    depth: int
    fan_in: int


class Delayed(Handle):
    """A Dask `Delayed` in the sandbox."""

    kind = "dask.delayed"

    def compute(self, as_: type[T]) -> T:
        """Compute with the synchronous scheduler and return the value, as type `as_`."""
        return typed(self._dialogue.ask("dask.compute", self), as_)

    def graph(self) -> GraphShape:
        """Describe the graph, without computing anything."""
        return typed(self._dialogue.ask("dask.graph", self), GraphShape)


class Dask:
    """Make Dask inputs in the sandbox."""

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue

    def delayed(self, load: object, arguments: list[object]) -> list[Delayed]:
        """Make one `Delayed` for each argument, which calls the instrument `load` with it."""
        made = self._dialogue.make("dask.delayed_calls", load, arguments)
        return [handle(self._dialogue, one, Delayed, "delayed") for one in made]
