"""Instruments: objects of the judge that student code calls across the boundary.

What an instrument records cannot be forged. A plain instrument answers each call at once; those
that connect ranks (`shardwork.judge.comm`) answer when the other ranks have called, too.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any, ClassVar

from shardwork.judge.faults import StudentFault
from shardwork.judge.observed import typed


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
