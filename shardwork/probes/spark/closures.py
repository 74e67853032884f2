"""What goes to the Python workers: each function that is pickled for them, and broadcasts."""

from __future__ import annotations

from typing import Any

from shardwork.probes.server import question


class _Listener:
    """Stands in for two functions of pyspark, notes what passes, and hands it on unchanged."""

    def __init__(self) -> None:
        from pyspark import SparkContext
        from pyspark.core import rdd

        self.closures: list[dict[str, int]] = []
        self.broadcasts_made = 0
        self._preparing = False
        self._oversized: list[int] = []
        # The one place where commands are made, for RDDs and for UDFs.
        self._module: Any = rdd
        self._class: Any = SparkContext
        self._prepare = self._module._prepare_for_python_RDD
        self._broadcast = self._class.broadcast
        self._module._prepare_for_python_RDD = self._prepared

        def broadcast(context: Any, value: Any) -> Any:
            return self._shared(context, value)

        self._class.broadcast = broadcast

    def stop(self) -> None:
        self._module._prepare_for_python_RDD = self._prepare
        self._class.broadcast = self._broadcast

    def _prepared(self, context: Any, command: object) -> Any:
        self._preparing = True
        self._oversized.clear()
        try:
            made = self._prepare(context, command)
        finally:
            self._preparing = False
        pickled, broadcasts = len(made[0]), len(made[1])
        for size in self._oversized:  # the command is then a reference to a broadcast of itself
            pickled, broadcasts = size, broadcasts - 1
        seen = {"pickled_bytes": pickled, "broadcasts": broadcasts}
        self.closures.append(seen)
        return made

    def _shared(self, context: Any, value: Any) -> Any:
        if self._preparing:  # Spark's own: it broadcasts a closure of more than 1 MiB
            self._oversized.append(len(value))
        else:
            self.broadcasts_made += 1
        return self._broadcast(context, value)


_listeners: list[_Listener] = []
"""One at most."""


@question("spark.listen")
def listen() -> None:
    """Begin to note what is sent to the workers; what was noted before is forgotten."""
    _stop()
    _listeners.append(_Listener())


@question("spark.heard")
def heard() -> dict[str, Any]:
    """Return what was sent since `listen`, and end it."""
    found = _stop()
    return {
        "closures": found.closures if found else [],
        "broadcasts_made": found.broadcasts_made if found else 0,
    }


def _stop() -> _Listener | None:
    if not _listeners:
        return None
    listener = _listeners.pop()
    listener.stop()
    return listener
