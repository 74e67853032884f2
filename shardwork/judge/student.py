"""What a grader holds: the student's functions, and typed handles to what they returned."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, ClassVar, TypeVar

import msgspec
import numpy as np

from shardwork.judge.dialogue import Dialogue
from shardwork.judge.faults import StudentFault
from shardwork.judge.observed import typed
from shardwork.record import Cause
from shardwork.wire import Opaque, Ref

T = TypeVar("T")
H = TypeVar("H", bound="Handle")

_NAMES = {
    "spark.rdd": "an RDD",
    "spark.frame": "a Spark DataFrame",
    "dask.delayed": "a Delayed",
    "dask.array": "a Dask array",
    "dask.bag": "a Dask bag",
    "dask.frame": "a Dask DataFrame",
    "torch.module": "a torch module",
    "function": "a function",
}


class Handle:
    """An object that stays in the sandbox. What its methods return are claims of a probe."""

    kind: ClassVar[str]

    def __init__(self, dialogue: Dialogue, ref: Ref) -> None:
        self._dialogue = dialogue
        self.ref = ref


class Student:
    """The functions of one submission, called in its sandbox.

    Every method may raise StudentFault (the check has failed) or InputsFailed.
    """

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue

    def call(self, name: str, *args: object, returns: type[H], **kwargs: object) -> H:
        """Call the student's function `name`; it must return an object of the handle's kind."""
        return handle(self._dialogue, self._dialogue.call(name, args, kwargs), returns, name)

    def value(self, name: str, *args: object, as_: type[T], **kwargs: object) -> T:
        """Call the student's function `name`; return its value, which must be of type `as_`."""
        return typed(self._dialogue.call(name, args, kwargs), as_)

    def ranks(
        self, name: str, per_rank: list[list[object]], *, as_: type[T], on: str = "threads"
    ) -> list[T]:
        """Call `name(rank, world, *per_rank[rank])` on all ranks at once; return values by rank.

        `on="threads"` lets ranks call instruments; `on="gloo"` runs real gloo processes, where
        `GLOO_ALLREDUCE` stands for `torch.distributed.all_reduce`.
        """
        return [typed(value, as_) for value in self._dialogue.call_ranks(name, per_rank, on)]

    def refusal(self, name: str, *args: object) -> tuple[str, ...]:
        """Call `name`; return the names of the classes of the exception it raised, () if none."""
        try:
            self._dialogue.call(name, args, {})
        except StudentFault as fault:
            if fault.cause is Cause.RAISED:
                return fault.types
            raise
        return ()


class _GlooAllReduce:
    """Stands for the real collective in the arguments of `Student.ranks(..., on="gloo")`."""

    ref = Ref("lab.allreduce", 0)


GLOO_ALLREDUCE = _GlooAllReduce()


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


class Activity(msgspec.Struct):
    """What Spark ran inside a `with spark.watch()` block; filled in when the block ends.

    Stages that were skipped count for nothing. Bytes are those of shuffle files.
    """

    jobs: int = 0
    stages: int = 0
    tasks: int = 0
    shuffle_write_bytes: int = 0
    shuffle_read_bytes: int = 0


class RddShape(msgspec.Struct, frozen=True):
    """`partitioner_partitions` is None where Spark knows no partitioner."""

    num_partitions: int
    partitioner_partitions: int | None
    default_partitioner: bool
    """Whether the partitioner is Spark's own hash of the key."""
    shuffles: int
    """Distinct shuffle dependencies in the lineage."""


class Rdd(Handle):
    """A Spark RDD in the sandbox."""

    kind = "spark.rdd"

    def collect(self, as_: type[T]) -> T:
        """Collect all records, as a list of type `as_` (`list[tuple[str, int]]`)."""
        return typed(self._dialogue.ask("spark.collect", self), as_)

    def partitions(self, as_: type[T]) -> T:
        """Collect the records of each partition, as type `as_` (`list[list[...]]`)."""
        return typed(self._dialogue.ask("spark.partitions", self), as_)

    def shape(self) -> RddShape:
        """Describe partitions, partitioner and lineage, without running a job."""
        return typed(self._dialogue.ask("spark.rdd_shape", self), RddShape)


class Spark:
    """Make Spark inputs in the sandbox, and watch what Spark does there."""

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue

    def rdd(self, partitions: list[list[Any]]) -> Rdd:
        """Make an RDD of exactly these partitions (uneven and empty ones, too)."""
        made = self._dialogue.make("spark.rdd", partitions)
        return handle(self._dialogue, made, Rdd, "rdd")

    def hash_partitions(self, keys: list[Any], n: int) -> list[list[Any]]:
        """Return `keys` by the partition of `n` that Spark's hash partitioner gives them.

        Asked in the sandbox: the hash of a str depends on that process's PYTHONHASHSEED.
        """
        return typed(self._dialogue.make("spark.hash_partitions", keys, n), list[list[Any]])

    @contextlib.contextmanager
    def watch(self) -> Iterator[Activity]:
        """Count the jobs, stages, tasks and shuffle bytes of everything run inside the block."""
        seen = Activity()
        first = typed(self._dialogue.make("spark.mark"), int)
        yield seen
        found = typed(self._dialogue.ask("spark.since", first), Activity)
        for field in Activity.__struct_fields__:
            setattr(seen, field, getattr(found, field))


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


class Module(Handle):
    """A torch module in the sandbox."""

    kind = "torch.module"

    def parameters(self) -> list[np.ndarray[Any, Any]]:
        """Return the values of the parameters, in the order of `module.parameters()`."""
        return typed(self._dialogue.ask("torch.parameters", self), list[np.ndarray])


class Torch:
    """Make torch inputs in the sandbox."""

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue

    def module(
        self, kind: str, sizes: list[int], weights: dict[str, np.ndarray[Any, Any]]
    ) -> Module:
        """Build one of the networks of `shardwork.probes.modules` with these weights."""
        made = self._dialogue.make("torch.module", kind, sizes, weights)
        return handle(self._dialogue, made, Module, "module")

    def mse_loss(self) -> Module:
        """Return the mean squared error, averaged over all elements."""
        return handle(self._dialogue, self._dialogue.make("torch.mse_loss"), Module, "mse_loss")
