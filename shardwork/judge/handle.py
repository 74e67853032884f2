"""What a grader holds of an object that stays in the sandbox; each framework has its own kinds."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from shardwork.judge.dialogue import Dialogue
from shardwork.judge.faults import StudentFault
from shardwork.judge.observed import typed
from shardwork.record import Cause
from shardwork.wire import Opaque, Ref

H = TypeVar("H", bound="Handle")
T = TypeVar("T")

_NAMES = {
    "spark.rdd": "an RDD",
    "spark.frame": "a Spark DataFrame",
    "spark.model": "a fitted model of MLlib",
    "spark.session": "a SparkSession",
    "spark.context": "a SparkContext",
    "spark.level": "a StorageLevel",
    "dask.delayed": "a Delayed",
    "dask.array": "a Dask array",
    "dask.bag": "a Dask bag",
    "dask.frame": "a Dask DataFrame",
    "dask.client": "a Dask client",
    "dask.given": "an object that it was given",
    "dask.estimator": "an estimator",
    "torch.module": "a torch module",
    "function": "a function",
}


class Handle:
    """An object that stays in the sandbox. What its methods return are claims of a probe."""

    kind: ClassVar[str]

    def __init__(self, dialogue: Dialogue, ref: Ref) -> None:
        self._dialogue = dialogue
        self.ref = ref


class Function(Handle):
    """A function, or anything else that can be called, in the sandbox."""

    kind = "function"

    def value(self, *args: object, as_: type[T]) -> T:
        """Call it; return its value, which must be of type `as_`. Raises StudentFault."""
        return typed(self._dialogue.ask("notebook.apply", self, *args), as_)

    def call(self, *args: object, returns: type[H], name: str) -> H:
        """Call it; it must return an object of the handle's kind. Raises StudentFault.

        `name` is what a student knows the function by.
        """
        value = self._dialogue.ask("notebook.apply", self, *args)
        return handle(self._dialogue, value, returns, name)


def handle(dialogue: Dialogue, value: object, kind: type[H], name: str) -> H:
    """Wrap a reference as a handle of type `kind`. Raises StudentFault if it is something else."""
    if isinstance(value, Ref) and value.kind == kind.kind:
        return kind(dialogue, value)
    raise StudentFault(
        Cause.WRONG_TYPE,
        "`{name}` should return {wanted}; it returned {found}.",
        evidence={"name": name, "wanted": _NAMES[kind.kind], "found": describe_type(value)},
    )


def handles(
    dialogue: Dialogue, value: object, kinds: tuple[type[Handle], ...], name: str
) -> tuple[Handle, ...]:
    """Wrap a tuple of references, one for each of `kinds`. Raises StudentFault."""
    if not isinstance(value, (tuple, list)):
        raise StudentFault(
            Cause.WRONG_TYPE,
            "`{name}` should return {wanted}; it returned {found}.",
            evidence={"name": name, "wanted": "a `tuple`", "found": describe_type(value)},
        )
    if len(value) != len(kinds):
        raise StudentFault(
            Cause.WRONG_TYPE, "The result has another form than asked: {problem}.",
            evidence={"problem": f"Expected `tuple` of length {len(kinds)}, got {len(value)}"},
        )  # fmt: skip
    return tuple(
        handle(dialogue, item, kind, name) for item, kind in zip(value, kinds, strict=True)
    )


def describe_type(value: object) -> str:
    """Name the type of a value that came out of a sandbox, for a person."""
    if isinstance(value, Ref):
        return _NAMES.get(value.kind, "an object")
    if isinstance(value, Opaque):
        return f"a `{value.type.rpartition('.')[2][:60]}`"
    if value is None:
        return "nothing (None)"
    return f"a `{type(value).__name__}`"
