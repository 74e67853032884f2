"""What travels in the graphs that are run, and in which of them a function is called.

`watching` counts computations; this is about what one of them is made of.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from dask._task_spec import Task, convert_legacy_graph
from dask.callbacks import Callback

from shardwork.probes.dask import watching
from shardwork.probes.dask.graphs import pickled_bytes
from shardwork.probes.dask.portable import Given
from shardwork.probes.server import question


class _Graphs(Callback):  # type: ignore[misc]  # dask has no types
    """Measures each graph when its run begins; one that begins inside another is not seen."""

    def __init__(self, heavy_bytes: int) -> None:
        super().__init__()
        self._heavy_bytes = heavy_bytes
        self.runs: list[dict[str, int]] = []
        self.tasks_begun = 0

    def _start(self, dsk: Any) -> None:
        nodes = convert_legacy_graph(dict(dsk)).values()
        sizes = [pickled_bytes(node) for node in nodes]
        tasks = sum(isinstance(node, Task) for node in nodes)
        heavy = sum(size >= self._heavy_bytes for size in sizes)
        self.runs.append({"tasks": tasks, "heavy": heavy, "largest_bytes": max(sizes, default=0)})

    def _pretask(self, key: Any, dsk: Any, state: Any) -> None:
        self.tasks_begun += 1


_watching: list[_Graphs] = []


@question("dask.runs.watch")
def watch_graphs(heavy_bytes: int) -> None:
    """Begin to measure what is run; a node of a graph is heavy from `heavy_bytes` on, pickled."""
    stop_watching()
    _watching.append(_Graphs(heavy_bytes))
    _watching[0].register()


@question("dask.runs.watched")
def watched_graphs() -> list[dict[str, int]]:
    """Return what was run since `watch_graphs`, and end the watch."""
    runs = [run for graphs in _watching for run in graphs.runs]
    stop_watching()
    return runs


def stop_watching() -> None:
    """Take away what `watch_graphs` registered."""
    while _watching:
        _watching.pop().unregister()


class InTasks(Given):
    """A function that tells the instrument, besides its arguments, where it is called."""

    def __init__(self, function: Callable[..., object], name: str) -> None:
        self._function = function
        self.__name__ = name

    def __call__(self, *args: object) -> object:
        # In the main thread tasks run one at a time, so their number tells them apart.
        alone = threading.current_thread() is threading.main_thread()
        task = _watching[0].tasks_begun if alone and _watching else 0
        return self._function(watching.running(), task, *args)

    def __dask_tokenize__(self) -> object:
        return (self.__name__, id(self._function))


@question("dask.runs.in_tasks")
def in_tasks(function: Callable[..., object], name: str) -> list[object]:
    """Return a function that calls `function(running, task, *args)`.

    `running` is 0 outside of all computations, 1 in a task, and more in a task of a computation
    that another task has started. `task` is the number of the task, 0 if that is not known.
    """
    return [InTasks(function, name)]
