"""Instruments: objects of the judge that student code calls across the boundary.

What an instrument records cannot be forged. A plain instrument answers each call at once; a
collective answers when every rank has called, and knows when that can no longer happen.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
import numpy as np

from shardwork.judge.faults import StudentFault
from shardwork.judge.observed import typed
from shardwork.wire import Tensor


class Refusal(Exception):
    """Raised by an instrument to raise a RuntimeError with this text in the student's code."""


class Instrument:
    """A function that lives in the judge. Subclasses record what they need in `call`.

    Student code that gives other arguments than the annotations of `call` say gets a Refusal;
    an argument without an annotation, or of the type `object`, may be anything.
    """

    kind: ClassVar[str] = "instrument.call"

    def call(self, *args: Any) -> Any:
        """Answer one call of the student's code with plain data. May raise Refusal."""
        raise NotImplementedError

    def invoked(self, args: list[Any], rank: int | None, answer: Callable[[Any], None]) -> None:
        """Handle one call: `answer(value)` sends the result, now or later."""
        answer(self.call(*_checked(type(self), args)))

    def ranks_begin(self, world: int) -> None:
        """A run of `world` ranks begins."""

    def rank_ended(self, rank: int) -> None:
        """A rank has returned or raised."""


def _checked(kind: type[Instrument], args: list[Any]) -> list[Any]:
    """Return the arguments of a call as its annotations say. Raises Refusal."""
    signature, hints = _declared(kind.call)
    try:
        names = list(signature.bind(None, *args).arguments)[1:]
    except TypeError:
        raise Refusal(f"it does not take {len(args)} arguments") from None
    wanted = [hints.get(name, object) for name in names]
    wanted += wanted[-1:] * (len(args) - len(wanted))  # those that `*args` takes together
    return [_argument(arg, hint, i) for i, (arg, hint) in enumerate(zip(args, wanted, strict=True))]


@functools.cache
def _declared(call: Callable[..., Any]) -> tuple[inspect.Signature, dict[str, Any]]:
    return inspect.signature(call), typing.get_type_hints(call)


def _argument(value: object, hint: Any, index: int) -> Any:
    if hint in (object, Any):
        return value
    try:
        return typed(value, hint)
    except StudentFault:
        raise Refusal(f"its argument {index + 1} has another type than asked") from None


class Round(msgspec.Struct, frozen=True, eq=False):
    """One completed all-reduce: what each rank gave (in the order of ranks), and their sum."""

    given: tuple[np.ndarray[Any, Any], ...]
    total: np.ndarray[Any, Any]


class AllReduce(Instrument):
    """A sum over all ranks, given to student code as `allreduce(tensor)`, in place.

    `rounds` holds the completed collectives. `mismatch` is a sentence if the ranks fell out of
    step: a rank waits for one that has returned, or shapes differ. The first such event ends all.
    """

    kind: ClassVar[str] = "instrument.allreduce"
    MAX_ELEMENTS = 1_000_000
    """Numbers that one rank may give at once."""
    MAX_KEPT = 8_000_000
    """Numbers that all ranks may give in one run: the judge keeps them all."""

    def __init__(self) -> None:
        self.rounds: list[Round] = []
        self.mismatch: str | None = None
        self.out_of_step: tuple[int, ...] = ()
        """Ranks that had returned while others still waited in a collective."""
        self._world = 0
        self._waiting: dict[int, tuple[np.ndarray[Any, Any], Callable[[Any], None]]] = {}
        self._ended: set[int] = set()
        self._kept = 0

    def ranks_begin(self, world: int) -> None:
        self._world = world
        self._waiting.clear()
        self._ended.clear()
        self.rounds = []
        self.mismatch = None
        self.out_of_step = ()
        self._kept = 0

    def invoked(self, args: list[Any], rank: int | None, answer: Callable[[Any], None]) -> None:
        if rank is None or not 0 <= rank < self._world or rank in self._waiting:
            raise Refusal("all-reduce was called outside a rank, or twice at once by one rank")
        if self.mismatch is not None:
            raise Refusal(self.mismatch)
        array = args[0].array if len(args) == 1 and isinstance(args[0], Tensor) else None
        if array is None or array.dtype != np.float64 or array.size > self.MAX_ELEMENTS:
            raise Refusal("allreduce takes one float64 tensor")
        self._kept += array.size
        if self._kept > self.MAX_KEPT:
            raise Refusal(f"more than {self.MAX_KEPT} numbers were given to allreduce in all")
        self._waiting[rank] = (array, answer)
        self._settle()

    def rank_ended(self, rank: int) -> None:
        self._ended.add(rank)
        self._settle()

    def _settle(self) -> None:
        if len(self._waiting) == self._world:
            self._reduce()
        elif self._waiting and len(self._waiting) + len(self._ended) >= self._world:
            self.out_of_step = tuple(sorted(self._ended))
            self._give_up(
                f"rank {min(self._waiting)} waits in all-reduce number {len(self.rounds) + 1}, "
                f"which rank {min(self._ended)} never called"
            )

    def _reduce(self) -> None:
        shapes = {array.shape for array, _ in self._waiting.values()}
        if len(shapes) > 1:
            self._give_up(
                f"all-reduce number {len(self.rounds) + 1} was called with different shapes: "
                + ", ".join(
                    f"rank {r} {list(a.shape)}" for r, (a, _) in sorted(self._waiting.items())
                )
            )
            return
        given = tuple(self._waiting[rank][0] for rank in sorted(self._waiting))
        done = Round(given, np.sum(given, axis=0))
        self.rounds.append(done)
        waiting, self._waiting = self._waiting, {}
        for _, answer in waiting.values():
            answer(Tensor(done.total))

    def _give_up(self, mismatch: str) -> None:
        self.mismatch = mismatch
        waiting, self._waiting = self._waiting, {}
        for _, answer in waiting.values():
            answer(Refusal(mismatch))
