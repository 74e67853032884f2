"""What is true of every Dask collection: its graph after optimisation, and what tasks carry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cloudpickle
import dask
from dask._task_spec import Task, TaskRef, convert_legacy_graph
from dask.core import flatten
from dask.utils import key_split

from shardwork.probes.server import question

MAX_LAYERS = 2000


@question("dask.delayed_calls")
def delayed_calls(function: Callable[..., object], arguments: list[object]) -> list[object]:
    """Return one `Delayed` for each argument: `function(argument)`, when it is computed."""

    def load(argument: object) -> object:
        return function(argument)

    return [dask.delayed(load)(argument) for argument in arguments]


@question("dask.compute")
def compute(collection: Any) -> object:
    """Compute a collection with the synchronous scheduler: one task at a time, in this thread."""
    (result,) = dask.compute(collection, scheduler="sync")
    return result


@question("dask.run")
def run(collection: Any) -> None:
    """Compute a collection, one task at a time, and drop every result as soon as it is there.

    For `watch`: nothing is put together in the end, and what is alive is what the graph needs.
    """
    (better,) = dask.optimize(collection)
    tasks = dict(convert_legacy_graph(dict(better.__dask_graph__())))
    drops = []
    for number, key in enumerate(flatten(better.__dask_keys__())):
        drops.append(("drop", number))
        tasks[drops[-1]] = Task(drops[-1], _drop, TaskRef(key))
    dask.get(tasks, drops)


def _drop(_: object) -> None:
    """Let go of a result."""


@question("dask.graph")
def graph(collection: Any) -> dict[str, int]:
    """Tasks, longest path and largest fan-in of the graph after Dask's own optimisation."""
    tasks = optimised(collection)
    depth: dict[object, int] = {}
    for key in _topological(tasks):
        node = tasks[key]
        below = max((depth[d] for d in node.dependencies), default=0)
        depth[key] = below + isinstance(node, Task)
    return {
        "tasks": sum(isinstance(node, Task) for node in tasks.values()),
        "depth": max(depth.values(), default=0),
        "fan_in": max((_tasks_before(node, tasks) for node in tasks.values()), default=0),
    }


@question("dask.layers")
def layers(collection: Any) -> list[dict[str, Any]]:
    """List the layers as they were built, before any optimisation; inputs come before results.

    A DataFrame has none: it is an expression until it is optimised (`dask.expr`).
    """
    graph = collection.__dask_graph__()
    found = getattr(graph, "layers", {})
    order = graph._toposort_layers() if found else []
    return [
        {
            "name": str(key_split(name)),
            "type": type(found[name]).__name__,
            "inputs": len(graph.dependencies.get(name, ())),
        }
        for name in order[:MAX_LAYERS]
    ]


@question("dask.payload")
def payload(collection: Any) -> dict[str, int]:
    """Pickle each node of the optimised graph by itself, and measure it.

    Pickled as a whole, a graph would hide what is embedded again and again, because pickle writes
    equal objects once. A function of the notebook is pickled with the globals that it uses.
    """
    sizes = [pickled_bytes(node) for node in optimised(collection).values()]
    return {"total_bytes": sum(sizes), "largest_bytes": max(sizes, default=0), "nodes": len(sizes)}


def optimised(collection: Any) -> dict[object, Any]:
    """Return the graph after Dask's own optimisation, as nodes of `dask._task_spec` by key."""
    (better,) = dask.optimize(collection)
    return dict(convert_legacy_graph(dict(better.__dask_graph__())))


class _Scale:
    """A file that remembers how much was written to it, and nothing else."""

    def __init__(self) -> None:
        self.written = 0

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        self.written += size
        return size


def pickled_bytes(node: object) -> int:
    """Return the size of one node of a graph, pickled by itself."""
    scale = _Scale()
    cloudpickle.dump(node, scale)
    return scale.written


def _tasks_before(node: Any, tasks: dict[object, Any]) -> int:
    """Count the tasks that a node waits for; plain data and aliases are none."""
    return sum(isinstance(tasks[key], Task) for key in node.dependencies)


def _topological(tasks: dict[object, Any]) -> list[object]:
    order: list[object] = []
    done: set[object] = set()
    for root, node in tasks.items():
        stack = [(root, iter(node.dependencies))]
        while stack:
            key, below = stack[-1]
            nxt = next((d for d in below if d not in done), None)
            if nxt is not None:
                stack.append((nxt, iter(tasks[nxt].dependencies)))
                continue
            stack.pop()
            if key not in done:
                done.add(key)
                order.append(key)
    return order
