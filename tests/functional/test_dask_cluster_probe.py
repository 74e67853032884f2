"""A search on a real cluster: calls from workers, what is in flight, and what is left."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from distributed import Client

from shardwork.probes.dask import cluster
from shardwork.probes.dask.portable import Portable

pytestmark = pytest.mark.functional


class Judge:
    """Stands for the instrument: notes what it is asked, and holds trials until it is told."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.held = threading.Event()
        self.lock = threading.Lock()

    def __call__(self, what: str, *args: Any) -> Any:
        with self.lock:
            self.asked.append((what, *args))
            if what == "begin":
                return self.count("begin") - 1
            if what == "wait":
                return 1.5 if self.held.is_set() else None
            return [7] if what == "draw" else what == "stop"

    def count(self, what: str) -> int:
        return sum(asked[0] == what for asked in self.asked)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    (made,) = cluster.make_client()
    assert isinstance(made, Client)
    yield made
    cluster.close_client()


def test_a_function_of_this_process_is_called_from_a_worker(client: Client) -> None:
    calls: list[object] = []
    told = Portable(lambda *args: calls.append(args) or len(calls), "told")
    assert client.submit(told, "from a worker", pure=False).result() == 1
    assert calls == [("from a worker",)]
    assert pickle.loads(pickle.dumps(told)) is told


def test_what_it_raises_is_raised_at_the_worker_as_text(client: Client) -> None:
    told = Portable({}.__getitem__, "told")
    error = client.submit(told, "no such key", pure=False).exception()
    assert isinstance(error, RuntimeError)
    assert "no such key" in str(error)


def test_trials_speak_with_the_judge_and_the_plugin_counts_them(client: Client) -> None:
    judge = Judge()
    f, params, data, stop = cluster.search_inputs(judge, "token", 1000)
    assert next(params) == 7  # type: ignore[call-overload]
    futures = [client.submit(f, data, i, pure=False) for i in range(5)]
    judge.held.set()
    assert client.gather(futures) == [1.5] * 5
    assert stop(1.5) is True  # type: ignore[operator]
    begun = sorted(asked[1:] for asked in judge.asked if asked[0] == "begin")
    assert begun == [(i, "token") for i in range(5)]
    found = cluster.settle(client)
    assert found["tasks_left"] == 5
    assert 2 <= found["most_in_flight"] <= 5
    del futures
    assert cluster.settle(client)["tasks_left"] == 0


def test_data_arrive_with_each_task_or_once_for_each_worker(client: Client) -> None:
    """Five tasks that carry the data: five arrivals. Scattered: one for each of two workers."""
    judge = Judge()
    judge.held.set()
    f, _, data, _ = cluster.search_inputs(judge, "token", 1000)
    client.gather([client.submit(f, data, i, pure=False) for i in range(5)])
    assert judge.count("arrive") == 5
    judge.asked.clear()
    future = client.scatter(data, broadcast=True)
    client.gather([client.submit(f, future, i, pure=False) for i in range(5)])
    assert judge.count("arrive") == 2


def test_what_is_cancelled_before_hear_does_not_begin_after_it(client: Client) -> None:
    judge = Judge()
    f, _, data, _ = cluster.search_inputs(judge, "token", 1000)
    futures = [client.submit(f, data, i, pure=False) for i in range(6)]
    while judge.count("begin") < 2:  # both workers have one that may not end
        pass
    client.cancel(futures)
    cluster.hear(client)
    judge.held.set()
    assert cluster.settle(client)["tasks_left"] == 0
    assert judge.count("begin") == 2


def test_equal_trials_are_one_task_unless_they_are_not_pure(client: Client) -> None:
    judge = Judge()
    judge.held.set()
    f, _, data, _ = cluster.search_inputs(judge, "token", 1000)
    client.gather([client.submit(f, data, 1) for _ in range(3)])
    assert judge.count("begin") == 1
    client.gather([client.submit(f, data, 1, pure=False) for _ in range(3)])
    assert judge.count("begin") == 4
