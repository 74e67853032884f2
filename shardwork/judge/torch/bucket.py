"""What happens in a backward pass between ranks: marks of layers and collectives, in one list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from shardwork.judge.comm import Comm, Event
from shardwork.judge.instruments import Instrument, Refusal


class Mark(msgspec.Struct, frozen=True):
    """A rank has come to something: a layer (its number, on the way back), or a part of a step."""

    rank: int
    what: int | str


Factor = Callable[[int, int, int], float]


class Marks(Instrument):
    """Appends a Mark to `events` whenever a rank calls it with a number or a word.

    The answer to a layer is `factor(rank, step, layer)`, with which the gradient goes further back:
    who sets a mark late, or not at all, has the wrong gradient in the layers in front. Steps begin
    with the word `"forward"`, and are counted from 0.
    """

    def __init__(self, events: list[Any], factor: Factor | None = None) -> None:
        self.events = events
        self.factor = factor
        self._begun: Counter[int] = Counter()

    def ranks_begin(self, world: int) -> None:
        self._begun.clear()

    def invoked(self, args: list[Any], rank: int | None, answer: Callable[[Any], None]) -> None:
        if rank is None or len(args) != 1 or type(args[0]) not in (int, str):
            raise Refusal("it takes a number or a word, from a rank")
        if len(self.events) < Comm.MAX_EVENTS:
            self.events.append(Mark(rank, args[0]))
        self._begun[rank] += args[0] == "forward"
        if self.factor is None or isinstance(args[0], str):
            answer(1.0)
        else:
            answer(self.factor(rank, self._begun[rank] - 1, args[0]))


class WatchedComm(Comm):
    """A Comm that also knows which all-reduces a rank waited for on the spot (`blocking`)."""

    def __init__(self) -> None:
        super().__init__(allowed={"broadcast", "all_reduce"})

    def ranks_begin(self, world: int) -> None:
        super().ranks_begin(world)
        self.blocking: set[tuple[int, int | None]] = set()
        """Rank and number of the collective."""

    def invoked(self, args: list[Any], rank: int | None, answer: Callable[[Any], None]) -> None:
        before = len(self.events)
        super().invoked(args, rank, answer)
        if args[:1] == ["all_reduce"] and args[-1] is not True and len(self.events) > before:
            event = self.events[before]
            self.blocking.add((event.rank, event.number))


class Pass(msgspec.Struct, frozen=True):
    """One step of one rank: its entries from before the forward pass until `finish` is done."""

    rank: int
    entries: list[Any]

    @property
    def begun(self) -> list[Event]:
        """The all-reduces that this rank began, in order."""
        return [e for e in self.entries if isinstance(e, Event) and e.op == "all_reduce"]

    @property
    def layers(self) -> list[int]:
        """The layers that the backward pass came to, in order."""
        return [e.what for e in self.entries if isinstance(e, Mark) and isinstance(e.what, int)]

    @property
    def is_done(self) -> bool:
        """Whether `finish` has returned."""
        return Mark(self.rank, "done") in self.entries

    def before(self, what: int | str) -> list[Event]:
        """Return all calls of the network, waits among them, made before a mark."""
        mark = Mark(self.rank, what)
        end = self.entries.index(mark) if mark in self.entries else len(self.entries)
        return [e for e in self.entries[:end] if isinstance(e, Event)]

    def waited(self) -> set[int | None]:
        """Return the numbers of the all-reduces that were waited for."""
        return {e.number for e in self.entries if isinstance(e, Event) and e.op == "wait"}


def passes(events: list[Any], rank: int) -> list[Pass]:
    """Cut what a rank did into its steps; what came before the first one is left out."""
    steps: list[Pass] = []
    for event in events:
        if event.rank != rank:
            continue
        if event == Mark(rank, "forward"):
            steps.append(Pass(rank, []))
        if steps:
            steps[-1].entries.append(event)
    return steps
