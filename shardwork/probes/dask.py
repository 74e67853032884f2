"""Describe Dask collections (dask 2026.8). Sandbox side: answers are claims.

Every private interface of Dask that the course relies on is used in this file and nowhere else;
`tests/functional/test_dask_probe.py` pins what it relies on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask
from dask._task_spec import Task, convert_legacy_graph

from shardwork.probes.server import question


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


@question("dask.graph")
def graph(collection: Any) -> dict[str, int]:
    """Tasks, longest path and largest fan-in of the graph after Dask's own optimisation."""
    (optimised,) = dask.optimize(collection)
    tasks = convert_legacy_graph(dict(optimised.__dask_graph__()))
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
