"""A real cluster for an exercise on futures, and what is given to the search that runs on it.

Workers are processes of their own (`lab.dask_client`), and the trials that run there call back to
the instrument through the notebook's process: see `portable`. What the scheduler's plugin tells is
a claim, as everything else is that a probe tells.
"""

from __future__ import annotations

import gc
import os
import time
import uuid
from collections import Counter
from typing import Any

from dask.utils import key_split
from distributed import Client
from distributed.diagnostics.plugin import SchedulerPlugin

from shardwork import lab
from shardwork.probes.dask.portable import Away, Given, Portable
from shardwork.probes.server import question

PAUSE_S = 0.02
"""Between two questions of a trial whether it may end. Each goes through the notebook's process."""
_ROUNDS = 100
_LAST = "shardwork_last"
_UNFINISHED = {"waiting", "no-worker", "queued", "processing"}
_PLUGIN = "shardwork-in-flight"


class InFlight(SchedulerPlugin):  # type: ignore[misc]  # distributed has no types
    """Counts the unfinished tasks of each key prefix; `most` keeps the largest number of each."""

    def __init__(self) -> None:
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.forgotten: set[str] = set()

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        if finish == "forgotten":
            self.forgotten.add(key)
        began, ended = (state in _UNFINISHED for state in (finish, start))
        if began != ended:
            prefix = key_split(key)
            self.now[prefix] += 1 if began else -1
            self.most[prefix] = max(self.most[prefix], self.now[prefix])


@question("dask.cluster.client")
def make_client() -> list[object]:
    """Return the notebook's client; its scheduler counts what is in flight."""
    client = lab.dask_client()
    scheduler = client.cluster.scheduler
    if _PLUGIN in scheduler.plugins:  # a client that the notebook left open
        scheduler.remove_plugin(_PLUGIN)
    scheduler.add_plugin(InFlight(), name=_PLUGIN)
    return [client]


@question("dask.cluster.close")
def close_client() -> None:
    """Close the client and its cluster: while there is one, the graphs of others change."""
    lab.stop()


@question("dask.cluster.hear")
def hear(client: Client) -> None:
    """Wait until scheduler and workers have heard of all that was cancelled or released.

    Messages of a client arrive in their order: when a task that is released now is forgotten, the
    scheduler knows of everything that was released before. The workers know a little later.
    Whatever still waits on a worker after _ROUNDS was not released.
    """
    gc.collect()
    plugin: Any = client.cluster.scheduler.plugins[_PLUGIN]
    last = client.submit(_nothing, key=f"{_LAST}-{uuid.uuid4()}", priority=-1000)
    key = last.key
    last.release()
    for _ in range(_ROUNDS):
        if key in plugin.forgotten and not any(client.run(_waiting).values()):
            break
        time.sleep(PAUSE_S)


@question("dask.cluster.settle")
def settle(client: Client) -> dict[str, int]:
    """Wait until no task runs any more; return what is left, and what was in flight at most."""
    scheduler: Any = client.cluster.scheduler
    client.submit(_nothing, key=f"{_LAST}-{uuid.uuid4()}", priority=-1000).result()
    hear(client)
    for _ in range(_ROUNDS):
        if not any(client.run(_executing).values()):
            break
        time.sleep(PAUSE_S)
    most = [n for prefix, n in scheduler.plugins[_PLUGIN].most.items() if prefix != _LAST]
    return {"tasks_left": len(scheduler.tasks), "most_in_flight": max(most, default=0)}


@question("dask.cluster.search_inputs")
def search_inputs(ask: Any, token: str, data_bytes: int) -> list[object]:
    """Return (f, params, data, stop) for one search. They all speak with the instrument `ask`."""
    told = Portable(ask, "ask")
    return [Trial(told), Candidates(told), Data(told, token, os.urandom(data_bytes)), Stop(told)]


class Trial(Given):
    """`f(data, param)`: gets its score from the instrument, and ends when it may."""

    __name__ = "f"

    def __init__(self, ask: Any) -> None:
        self._ask = ask

    def __call__(self, data: object, param: object) -> float:
        number = self._ask("begin", param, data.token if isinstance(data, Data) else "")
        while (score := self._ask("wait", number)) is None:
            time.sleep(PAUSE_S)
        return float(score)

    def __dask_tokenize__(self) -> object:
        return ("trial", self._ask)


class Candidates(Given):
    """`params`: an iterator that the instrument feeds."""

    def __init__(self, ask: Any) -> None:
        self._ask = ask

    def __iter__(self) -> Candidates:
        return self

    def __next__(self) -> object:
        drawn = self._ask("draw")
        if drawn is None:
            raise StopIteration
        return drawn[0]


class Stop(Given):
    """`stop(score)`: whether a score is good enough."""

    __name__ = "stop"

    def __init__(self, ask: Any) -> None:
        self._ask = ask

    def __call__(self, score: object) -> bool:
        return bool(self._ask("stop", score))


class Data(Given):
    """`data`: reports each time that it is unpickled in another process."""

    def __init__(self, ask: Any, token: str, filling: bytes) -> None:
        self._ask, self.token, self._filling = ask, token, filling

    def __reduce__(self) -> tuple[object, ...]:
        return _arrive, (self._ask, self.token, self._filling)

    def __sizeof__(self) -> int:
        return len(self._filling)

    def __dask_tokenize__(self) -> object:
        return ("data", self.token)


def _arrive(ask: Any, token: str, filling: bytes) -> Data:
    if isinstance(ask, Away):
        ask("arrive", os.getpid())
    return Data(ask, token, filling)


def _nothing() -> None:
    """Do nothing, on a worker."""


def _executing(dask_worker: Any) -> int:
    return len(dask_worker.state.executing) + len(dask_worker.state.long_running)


def _waiting(dask_worker: Any) -> int:
    return len(dask_worker.state.ready)
