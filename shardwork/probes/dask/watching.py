"""Watch Dask's local schedulers: what is computed, by how many tasks, and what they keep alive.

All of them (`sync`, `threads`, `processes`) end in `dask.local.get_async`, which is wrapped here. A
callback that is registered in the usual way would not do: Dask takes it away from a computation
that runs inside another. A distributed client is not seen.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from dask._task_spec import Task
from dask.callbacks import Callback
from dask.sizeof import sizeof
from dask.utils import key_split

from shardwork.probes.dask.meeting import rows_given
from shardwork.probes.server import question


class NotNow(RuntimeError):
    """Raised in place of a computation that must not take place."""


@dataclass
class _Seen:
    """What was seen since `watch`; sizes are those that `dask.sizeof` gives."""

    computes: int = 0
    nested_computes: int = 0
    tasks: int = 0
    meta_calls: int = 0
    peak_bytes: int = 0
    largest_bytes: int = 0
    rows_met: int = 0
    shuffle_tasks: int = 0


@dataclass
class _Watch:
    seen: _Seen = field(default_factory=_Seen)
    running: int = 0
    refusing: bool = False
    installed: set[str] = field(default_factory=set)
    lock: Any = field(default_factory=threading.Lock)


_watch = _Watch()


@question("dask.watch")
def watch() -> None:
    """Begin to count anew."""
    _install()
    _watch.seen = _Seen()


@question("dask.watched")
def watched() -> dict[str, int]:
    """Return what was counted since `watch`."""
    return asdict(_watch.seen)


def running() -> int:
    """Return how many computations run now; install the count, if it is not there yet."""
    _install()
    return _watch.running


@contextlib.contextmanager
def no_computes() -> Iterator[None]:
    """Raise NotNow in place of every computation inside the block."""
    _install()
    _watch.refusing = True
    try:
        yield
    finally:
        _watch.refusing = False


def _install() -> None:
    """Wrap what there is to wrap: each function once, in modules that have been imported."""
    for module in ("dask.local", "dask.threaded", "dask.multiprocessing"):
        _replace(module, "get_async", _counted)
    _replace("dask.dataframe.dask_expr._expr", "emulate", _emulated)
    _replace("dask.dataframe.dask_expr._groupby", "_meta_apply_transform", _meta_called)
    _replace("dask.array.core", "compute_meta", _meta_called)
    _watch_reductions()


def _replace(module: str, name: str, wrap: Callable[[Any], Any]) -> None:
    place = f"{module}.{name}"
    if module in sys.modules and place not in _watch.installed:
        _watch.installed.add(place)
        setattr(sys.modules[module], name, wrap(getattr(sys.modules[module], name)))


def _watch_reductions() -> None:
    """Count the reductions of a given function that have to guess their meta."""
    module = sys.modules.get("dask.dataframe.dask_expr._reductions")
    place = "dask.dataframe.dask_expr._reductions.CustomReduction"
    if module is None or place in _watch.installed:
        return
    _watch.installed.add(place)
    kind, unsaid = module.CustomReduction, module.no_default
    guess = vars(kind)["_meta"].func

    def meta(self: Any) -> Any:
        _watch.seen.meta_calls += self.operand("meta") is unsaid
        return guess(self)

    kind._meta = functools.cached_property(meta)
    kind._meta.__set_name__(kind, "_meta")


def _counted(get_async: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(get_async)
    def counted(*args: Any, **kwargs: Any) -> Any:
        if _watch.refusing:
            raise NotNow("Dask would compute something here")
        with _watch.lock:
            _watch.seen.computes += 1
            _watch.seen.nested_computes += _watch.running > 0
            _watch.running += 1
        ours = _LiveBytes(_watch.seen)._callback
        active = Callback.active
        Callback.active = active | {ours}
        try:
            return get_async(*args, **kwargs)
        finally:
            Callback.active = active
            with _watch.lock:
                _watch.running -= 1

    return counted


def _emulated(emulate: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(emulate)
    def emulated(func: Any, *args: Any, udf: bool = False, **kwargs: Any) -> Any:
        _watch.seen.meta_calls += udf
        return emulate(func, *args, udf=udf, **kwargs)

    return emulated


def _meta_called(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        _watch.seen.meta_calls += 1
        return function(*args, **kwargs)

    return called


class _LiveBytes(Callback):  # type: ignore[misc]  # dask has no types
    """Counts the tasks of one computation, and what they and their inputs take at most.

    While a task runs, the scheduler's cache holds its inputs and whatever later tasks need; when it
    is called after the task, what was only needed by this one is gone already.
    """

    def __init__(self, seen: _Seen) -> None:
        super().__init__()
        self._seen = seen
        self._sizes: dict[object, int] = {}
        self._before: dict[object, int] = {}

    def _pretask(self, key: Any, dsk: Any, state: Any) -> None:
        cache = state["cache"]
        self._before[key] = sum(self._size(k, value) for k, value in cache.items())
        given = [cache[k] for k in state["dependencies"][key] if k in cache]
        self._seen.rows_met = max(self._seen.rows_met, rows_given(given))

    def _posttask(self, key: Any, value: Any, dsk: Any, state: Any, worker: Any) -> None:
        size = self._size(key, value)
        seen = self._seen
        seen.tasks += isinstance(dsk[key], Task)
        seen.shuffle_tasks += "shuffle" in key_split(key)
        seen.largest_bytes = max(seen.largest_bytes, size)
        seen.peak_bytes = max(seen.peak_bytes, self._before.pop(key, 0) + size)

    def _size(self, key: object, value: object) -> int:
        if key not in self._sizes:
            self._sizes[key] = int(sizeof(value))
        return self._sizes[key]
