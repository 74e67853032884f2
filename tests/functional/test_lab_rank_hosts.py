"""`run_ranks` with its ranks on several hosts: here two of them on this machine, each a process.

That they find each other over a real network between containers is tried in tests/docker.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from shardwork import lab
from shardwork.lab.ranks import stop_ranks

pytestmark = [pytest.mark.functional, pytest.mark.usefixtures("no_leaks")]

START_S = 60.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two rank hosts, which `run_ranks` is told to use."""
    stop_ranks()
    ports = [free_port(), free_port()]
    command = [sys.executable, "-P", "-m", "shardwork.lab.rank_host"]
    started = [subprocess.Popen([*command, str(port)]) for port in ports]
    try:
        for port in ports:
            _wait_for(port)
        addresses = ",".join(f"127.0.0.1:{port}" for port in ports)
        monkeypatch.setenv("SHARDWORK_RANK_HOSTS", addresses)
        yield started
    finally:
        stop_ranks()
        for process in started:
            process.send_signal(signal.SIGTERM)
            process.wait(10)


def _wait_for(port: int) -> None:
    until = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            assert time.monotonic() < until
            time.sleep(0.1)


def total(rank: int, world: int, start: int) -> tuple[float, int, str]:
    import torch
    import torch.distributed as dist

    value = torch.tensor([float(start + rank)])
    dist.all_reduce(value)
    print("here is", rank)
    return value.item(), os.getppid(), os.environ["LOCAL_WORLD_SIZE"]


def test_ranks_of_one_call_are_spread_over_the_hosts_and_reduce_together(hosts, capfd) -> None:
    found = lab.run_ranks(total, 3, 10)
    assert [value for value, _, _ in found] == [10 + 11 + 12] * 3
    first, second, third = (parent for _, parent, _ in found)
    assert first == third != second  # two rank servers: ranks 0 and 2, and rank 1
    assert [here for _, _, here in found] == ["2", "1", "2"]
    shown = capfd.readouterr().out
    assert all(f"[rank {rank}] here is {rank}" in shown for rank in range(3))
    assert lab.run_ranks(total, 1, 5)[0][0] == 5.0  # and once more, on one host only


def fails_in_rank_1(rank: int, world: int) -> None:
    import torch.distributed as dist

    if rank == 1:
        raise ValueError("as planned")
    dist.barrier()


def test_a_rank_that_fails_is_named_and_the_other_host_ends_its_ranks(hosts) -> None:
    lab.run_ranks(total, 2, 0)  # both hosts have imported torch
    began = time.monotonic()
    with pytest.raises(lab.RankError, match="rank 1 of 4 failed first: ValueError: as planned"):
        lab.run_ranks(fails_in_rank_1, 4, timeout_s=50)
    assert time.monotonic() - began < 30  # not the limit of the call
    assert lab.run_ranks(total, 2, 0)[0][0] == 1.0


def test_a_host_that_is_not_there_is_named(hosts) -> None:
    hosts[1].send_signal(signal.SIGTERM)
    hosts[1].wait(10)
    with pytest.raises(RuntimeError, match=r"cannot reach 127\.0\.0\.1:\d+"):
        lab.run_ranks(total, 2, 0)
