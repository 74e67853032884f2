"""What a grader holds of an object that stays in the sandbox; each framework has its own kinds."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from shardwork.judge.dialogue import Dialogue
from shardwork.judge.faults import StudentFault
from shardwork.record import Cause
from shardwork.wire import Opaque, Ref

H = TypeVar("H", bound="Handle")

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


def handle(dialogue: Dialogue, value: object, kind: type[H], name: str) -> H:
    """Wrap a reference as a handle of type `kind`. Raises StudentFault if it is something else."""
    if isinstance(value, Ref) and value.kind == kind.kind:
        return kind(dialogue, value)
    raise StudentFault(
        Cause.WRONG_TYPE,
        "`{name}` should return {wanted}; it returned {found}.",
        evidence={"name": name, "wanted": _NAMES[kind.kind], "found": describe_type(value)},
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
