"""The fixture `dask`: inputs that are made in the sandbox, and what Dask computes there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from shardwork.judge.dask.arrays import Array
from shardwork.judge.dask.cluster import Cluster
from shardwork.judge.dask.collection import Delayed
from shardwork.judge.dask.frames import Frame
from shardwork.judge.dask.learning import Estimator
from shardwork.judge.dask.runs import Given, GraphRun
from shardwork.judge.dialogue import Dialogue
from shardwork.judge.faults import GraderFault, InputsFailed, StudentFault
from shardwork.judge.handle import handle
from shardwork.judge.observed import typed
from shardwork.probes.numbers import draw_block

Chunks = Sequence[Sequence[int]]


class Work(msgspec.Struct):
    """What Dask's local schedulers did in a `with dask.watch()` block; filled in when it ends."""

    computes: int = 0
    nested_computes: int = 0
    """Computations that began while another was running: inside a task."""
    tasks: int = 0
    """Tasks that were run."""
    meta_calls: int = 0
    """Calls of a given function by Dask itself, at build, because it was told no meta."""
    peak_bytes: int = 0
    """At most, of a running task's inputs, its result, and all that later tasks wait to use."""
    largest_bytes: int = 0
    """The largest single value."""
    rows_met: int = 0
    """The most rows that one task was given by others, of tasks that were given rows by several."""
    shuffle_tasks: int = 0
    """Tasks that cut partitions into pieces for a shuffle, or put such pieces together."""


class Dask:
    """Make Dask inputs in the sandbox, and watch what Dask computes there."""

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue

    def delayed(self, load: object, arguments: list[object]) -> list[Delayed]:
        """Make one `Delayed` for each argument, which calls the instrument `load` with it."""
        made = self._dialogue.make("dask.delayed_calls", load, arguments)
        return [handle(self._dialogue, one, Delayed, "delayed") for one in made]

    def array(self, values: np.ndarray[Any, Any], chunks: Chunks) -> Array:
        """Make an array of these values; each block is a task that carries its part of them."""
        return self._array("dask.array", values, _sizes(chunks))

    def blocks(self, load: object, chunks: Chunks, dtype: str = "float64") -> Array:
        """Make an array whose block (i, j, ...) is what the instrument `load` answers to it.

        It may answer an array of the block's shape, or one number for the whole block. An
        instrument that refuses makes an array that can be described and not computed.
        """
        return self._array("dask.blocks", load, _sizes(chunks), dtype)

    def rechunked(self, x: Array, chunks: Chunks, limit_bytes: int | None = None) -> Array:
        """Rechunk `x` in one call, to compare with: what Dask itself makes of these chunks."""
        return self._array("dask.rechunked", x, _sizes(chunks), limit_bytes)

    def random(
        self, seed: int, chunks: Chunks, *, offset: float = 0.0, scale: float = 1.0
    ) -> Array:
        """Make a float64 array of normal numbers, drawn block by block when they are computed."""
        return self._array("dask.random", seed, _sizes(chunks), offset, scale)

    @staticmethod
    def random_values(
        seed: int, chunks: Chunks, *, offset: float = 0.0, scale: float = 1.0
    ) -> np.ndarray[Any, Any]:
        """Return the values that `random` makes of the same arguments."""
        sizes = _sizes(chunks)
        blocks = np.empty([len(one) for one in sizes], dtype=object)
        for index in np.ndindex(blocks.shape):
            shape = tuple(one[i] for one, i in zip(sizes, index, strict=True))
            blocks[index] = draw_block(seed, index, shape, offset, scale)
        return np.asarray(np.block(blocks.tolist()))

    def frame(
        self,
        columns: Mapping[str, Any],
        sizes: Sequence[int],
        *,
        divisions: Sequence[Any] | None = None,
        index: Sequence[Any] | None = None,
        index_name: str | None = None,
        load: object = None,
    ) -> Frame:
        """Make a DataFrame whose partitions have `sizes` rows (columns are lists or arrays).

        `divisions` (one more than partitions) are told to Dask, and not checked; without them they
        are unknown. The instrument `load` is called with i whenever partition i is made.
        """
        made = self._dialogue.make(
            "dask.frame",
            dict(columns),
            list(sizes),
            None if divisions is None else list(divisions),
            None if index is None else list(index),
            load,
            index_name,
        )
        return handle(self._dialogue, made, Frame, "frame")

    def parquet(
        self,
        columns: Mapping[str, Any],
        sizes: Sequence[int],
        *,
        row_group_rows: int | None = None,
    ) -> str:
        """Write a Parquet dataset in the sandbox, one file for each of `sizes`; return its path."""
        made = self._dialogue.make("dask.parquet", dict(columns), list(sizes), row_group_rows)
        return typed(made, str)

    def damage_parquet(
        self,
        path: str,
        *,
        columns: Sequence[str] | None = None,
        outside: tuple[str, int, int] | None = None,
    ) -> None:
        """Make data of a dataset unreadable; footers stay whole, so it can be opened and planned.

        Damaged are `columns` (None: all), and, given `outside=(column, low, high)`, only row groups
        without any row of low <= column <= high.
        """
        names = None if columns is None else list(columns)
        where = None if outside is None else list(outside)
        if not typed(self._dialogue.make("dask.damage_parquet", path, names, where), int):
            raise GraderFault("nothing in the dataset was there to be damaged")

    def repair_parquet(self, path: str) -> None:
        """Make all data of a dataset readable again."""
        self._dialogue.make("dask.repair_parquet", path)

    def in_tasks(self, function: object, name: str) -> Given:
        """Make a function that calls the instrument `function(running, task, *args)`.

        `running` is the number of computations that run at that moment: 0 while a graph is built,
        1 in a task, and more in a task of a computation that another task has started. `task` is
        the number of the task within `watch_graphs`, and 0 outside of it or on another thread.
        """
        made = self._dialogue.make("dask.runs.in_tasks", function, name)
        return handle(self._dialogue, made[0], Given, name)

    def pipeline(self, record: object, stages: list[str]) -> Estimator:
        """Make a scikit-learn pipeline of `stages` and a `model`, which learn nothing.

        Each has a parameter `setting`, a whole number. Column 0 of X holds the numbers of the rows,
        column i what stage i puts there: the number of its fit. The instrument is called with
        `running, "fit", name, setting, rows, before` and answers a number, and with `running,
        "score", number of the model's fit, rows, before` and answers the score. `running` is the
        number of computations of Dask that run; `before` are the different combinations of the
        numbers of the fits that made these rows.
        """
        made = self._dialogue.make("dask.learning.pipeline", record, stages)
        return handle(self._dialogue, made[0], Estimator, "pipeline")

    def learner(self, record: object) -> Estimator:
        """Make a scikit-learn classifier with `partial_fit`, not fitted, which learns nothing.

        Column 0 of X holds the numbers of the rows. The instrument is called with `what, rows,
        labels, classes, steps` and answers a list. If `what` is `"partial_fit"` or `"fit"`, it is
        `[number of this step]`; `classes` is None where none were passed, and `steps` are the
        numbers of this model's steps so far. If it is `"predict"`, the labels of the rows; `labels`
        is empty, and `steps` tell which model is asked. Copies carry their steps along.
        """
        made = self._dialogue.make("dask.learning.learner", record)
        return handle(self._dialogue, made[0], Estimator, "learner")

    def cluster(self) -> Cluster:
        """Return a cluster of worker processes, which lives as long as its `with` block."""
        return Cluster(self._dialogue)

    @contextlib.contextmanager
    def watch_graphs(self, heavy_bytes: int) -> Iterator[list[GraphRun]]:
        """List what local schedulers are given to run inside the block, but not inside tasks."""
        runs: list[GraphRun] = []
        self._dialogue.make("dask.runs.watch", heavy_bytes)
        try:
            yield runs
        except StudentFault:
            with contextlib.suppress(StudentFault, InputsFailed):  # the sandbox may be gone
                runs += typed(self._dialogue.ask("dask.runs.watched"), list[GraphRun])
            raise
        runs += typed(self._dialogue.ask("dask.runs.watched"), list[GraphRun])

    @contextlib.contextmanager
    def watch(self) -> Iterator[Work]:
        """Count what Dask's local schedulers compute inside the block, also if it raises."""
        seen = Work()
        self._dialogue.make("dask.watch")
        try:
            yield seen
        except StudentFault:
            with contextlib.suppress(StudentFault, InputsFailed):  # the sandbox may be gone
                self._fill(seen)
            raise
        self._fill(seen)

    def _fill(self, seen: Work) -> None:
        found = typed(self._dialogue.ask("dask.watched"), Work)
        for field in Work.__struct_fields__:
            setattr(seen, field, getattr(found, field))

    def _array(self, question: str, *args: object) -> Array:
        return handle(self._dialogue, self._dialogue.make(question, *args), Array, "array")


def _sizes(chunks: Chunks) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(size) for size in sizes) for sizes in chunks)
