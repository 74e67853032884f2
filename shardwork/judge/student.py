"""The functions of a submission, as a grader calls them."""

from __future__ import annotations

from typing import Any, TypeVar, overload

from shardwork.judge.dialogue import Dialogue
from shardwork.judge.faults import StudentFault
from shardwork.judge.handle import Function, H, Handle, handle, handles
from shardwork.judge.observed import typed
from shardwork.record import Cause
from shardwork.wire import Ref

T = TypeVar("T")


class Student:
    """The functions of one submission, called in its sandbox.

    Every method may raise StudentFault (the check has failed) or InputsFailed.
    """

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue

    @overload
    def call(self, name: str, *args: object, returns: type[H], **kwargs: object) -> H: ...

    @overload
    def call(
        self, name: str, *args: object, returns: tuple[type[Handle], ...], **kwargs: object
    ) -> tuple[Any, ...]: ...

    def call(
        self,
        name: str,
        *args: object,
        returns: type[H] | tuple[type[Handle], ...],
        **kwargs: object,
    ) -> H | tuple[Any, ...]:
        """Call the student's function `name`; it must return an object of the handle's kind.

        With a tuple of kinds it must return a tuple of such objects.
        """
        value = self._dialogue.call(name, args, kwargs)
        if isinstance(returns, tuple):
            return handles(self._dialogue, value, returns, name)
        return handle(self._dialogue, value, returns, name)

    def value(self, name: str, *args: object, as_: type[T], **kwargs: object) -> T:
        """Call the student's function `name`; return its value, which must be of type `as_`."""
        return typed(self._dialogue.call(name, args, kwargs), as_)

    def ranks(
        self,
        name: str,
        per_rank: list[list[object]],
        *,
        as_: type[T],
        on: str = "threads",
        driver: str = "",
    ) -> list[T]:
        """Call `name(rank, world, *per_rank[rank])` on all ranks at once; return values by rank.

        `on="threads"` lets ranks call instruments; `on="gloo"` runs real gloo processes, where
        `GLOO_ALLREDUCE` stands for `torch.distributed.all_reduce`, and `GLOO_COMM` for a Comm.
        With a `driver`, a question of a probe (`"torch.sharded.steps"`), each rank runs
        `driver(rank, world, target, *per_rank[rank])`, where `target` is the function or class.
        """
        values = self._dialogue.call_ranks(name, per_rank, on, driver)
        return [typed(value, as_) for value in values]

    def function(self, name: str) -> Function:
        """Return the student's function or class `name`, to be given to a driver."""
        return handle(self._dialogue, self._dialogue.ask("notebook.find", name), Function, name)

    def refusal(self, name: str, *args: object) -> tuple[str, ...]:
        """Call `name`; return the names of the classes of the exception it raised, () if none."""
        try:
            self._dialogue.call(name, args, {})
        except StudentFault as fault:
            if fault.cause is Cause.RAISED:
                return fault.types
            raise
        return ()


class _OverGloo:
    """Stands for what connects real gloo ranks, in the arguments of `Student.ranks`."""

    def __init__(self, kind: str) -> None:
        self.ref = Ref(kind, 0)


GLOO_ALLREDUCE = _OverGloo("lab.allreduce")
GLOO_COMM = _OverGloo("lab.comm")
