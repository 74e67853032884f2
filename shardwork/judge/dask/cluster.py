"""A cluster of worker processes for a student's function: its client, and what was seen of it."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Self

import msgspec

from shardwork.judge.dask.runs import Given
from shardwork.judge.dialogue import Dialogue
from shardwork.judge.faults import InputsFailed, StudentFault
from shardwork.judge.handle import Handle, handle
from shardwork.judge.observed import typed


class Client(Handle):
    """The client of a cluster in the sandbox."""

    kind = "dask.client"


class Settled(msgspec.Struct, frozen=True):
    """What the scheduler tells once no task runs any more."""

    tasks_left: int
    most_in_flight: int
    """The largest number of unfinished tasks at one time whose keys have the same prefix."""


class Cluster:
    """A cluster of two worker processes and its `client`; both live as long as the `with` block.

    While there is a client, Dask builds other graphs: do not look at shapes inside the block.
    """

    client: Client

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue

    def __enter__(self) -> Self:
        (made,) = self._dialogue.make("dask.cluster.client")
        self.client = handle(self._dialogue, made, Client, "client")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(StudentFault, InputsFailed):  # the sandbox may be gone
            self._dialogue.make("dask.cluster.close")

    def search_inputs(self, ask: object, token: str, data_bytes: int) -> list[Given]:
        """Make `(f, params, data, stop)` of a search, which all speak with the instrument `ask`.

        It is called with `"draw"`, `"begin", param, token of the data` (it answers a number),
        `"wait", number` (it answers a score, or None as long as the trial may not end), `"stop",
        score` and, when the data are unpickled in another process, `"arrive", process`.
        """
        made = self._dialogue.make("dask.cluster.search_inputs", ask, token, data_bytes)
        return [handle(self._dialogue, one, Given, "search_inputs") for one in made]

    def hear(self) -> None:
        """Wait until scheduler and workers have heard of all that was cancelled or released."""
        self._dialogue.ask("dask.cluster.hear", self.client)

    def settle(self) -> Settled:
        """Wait until no task runs any more; return what is left."""
        return typed(self._dialogue.ask("dask.cluster.settle", self.client), Settled)
