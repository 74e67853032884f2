"""`run_ranks` with real gloo ranks: values, failures, hangs, and that nothing is left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from shardwork import lab
from shardwork.lab import RankError, RankState

pytestmark = pytest.mark.functional

# Functions are made as a notebook makes them: by executing a cell in a namespace of its own.
CELL = """
import os
import sys
import time

import torch
import torch.distributed as dist

OFFSET = 10.0


class Answer:
    def __init__(self, value):
        self.value = value


def shifted(tensor):
    return tensor + OFFSET


def total(rank, world_size, factor):
    tensor = torch.full((3,), float(rank + 1), dtype=torch.float64)
    dist.all_reduce(tensor)
    return Answer(shifted(tensor) * factor)


def describe(rank, world_size):
    return rank, world_size, dist.get_rank(), dist.get_world_size(), os.getpid()


def slice_of_a_graph(rank, world_size):
    weights = torch.ones(1000, 1000, requires_grad=True)
    return (weights * 2)[0, :3]


def ddp_step(rank, world_size):
    model = torch.nn.Linear(2, 1, bias=False).double()
    torch.nn.init.constant_(model.weight, float(rank))
    parallel = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(parallel.parameters(), lr=1.0)
    parallel(torch.full((1, 2), float(rank + 1), dtype=torch.float64)).sum().backward()
    optimizer.step()
    return model.weight


def draw(rank, world_size):
    return torch.rand(1).item()


def speak(rank, world_size):
    print("hello from", rank)
    print("a warning", file=sys.stderr)
    print("no newline", end="")


def fail_on_one(rank, world_size):
    if rank == 1:
        raise ValueError("the second rank")
    dist.barrier()


def fail_before_its_peers_notice(rank, world_size):
    if rank == 1:
        os._exit(7)
    dist.all_reduce(torch.ones(1))


def disagree(rank, world_size):
    if rank == 0:
        dist.all_reduce(torch.ones(4))
    else:
        dist.broadcast(torch.ones(4), src=0)


def disagree_on_shape(rank, world_size):
    dist.all_reduce(torch.ones(4 + rank))


def skip_a_collective(rank, world_size):
    if rank == 0:
        dist.all_reduce(torch.ones(4))


def hang(rank, world_size):
    while rank == 1:
        pass
    return rank


def hang_deaf(rank, world_size):
    import signal
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(600)


def leave_a_daemon(rank, world_size):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
    return rank


def return_a_generator(rank, world_size):
    return (i for i in range(3))
"""


@pytest.fixture(scope="module")
def cell() -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(CELL, "cell", "exec"), namespace)
    return namespace


@pytest.fixture(scope="module", autouse=True)
def leave_nothing() -> Iterator[None]:
    """No process and no file may be left after `lab.stop()`."""
    files = _rank_files()
    yield
    lab.stop()
    lab.stop()
    assert [p for p in psutil.Process().children(recursive=True) if _is_ours(p)] == []
    assert _rank_files() == files


def _is_ours(process: psutil.Process) -> bool:
    try:
        return "rank_server" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


def _rank_files() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("shardwork-ranks-*"))


def _ranks_alive() -> list[psutil.Process]:
    """What is below the rank server: between two calls nothing should be."""
    servers = [p for p in psutil.Process().children() if _is_ours(p)]
    assert len(servers) == 1
    return servers[0].children(recursive=True)


def failure_of(
    function: Callable[..., Any], world_size: int = 2, limit_s: float = 30.0
) -> RankError:
    with pytest.raises(RankError) as caught:
        lab.run_ranks(function, world_size, timeout_s=limit_s)
    assert _ranks_alive() == []
    return caught.value


@pytest.mark.parametrize("world_size", [2, 3])
def test_every_rank_returns_the_same_sum(cell: dict[str, Any], world_size: int) -> None:
    answers = lab.run_ranks(cell["total"], world_size, 2.0)
    expected = (sum(range(1, world_size + 1)) + 10.0) * 2.0  # by hand: (1 + ... + n, + 10) * 2
    assert [answer.value.tolist() for answer in answers] == [[expected] * 3] * world_size
    assert all(type(answer) is cell["Answer"] for answer in answers)


def test_each_rank_is_a_process_of_its_own_that_knows_its_number(cell: dict[str, Any]) -> None:
    results = lab.run_ranks(cell["describe"], 3)
    assert [result[:4] for result in results] == [(r, 3, r, 3) for r in range(3)]
    assert len({result[4] for result in results} | {os.getpid()}) == 4


def test_a_tensor_comes_back_without_its_graph_and_its_storage(cell: dict[str, Any]) -> None:
    tensor = lab.run_ranks(cell["slice_of_a_graph"], 1)[0]
    assert tensor.tolist() == [2.0, 2.0, 2.0]
    assert not tensor.requires_grad
    assert tensor.untyped_storage().nbytes() == 12


def test_ddp_broadcasts_the_first_ranks_weights_and_averages_gradients(
    cell: dict[str, Any],
) -> None:
    # By hand: both start from rank 0's zeros; the gradients are 1 and 2, their mean 1.5.
    assert [w.tolist() for w in lab.run_ranks(cell["ddp_step"], 2)] == [[[-1.5, -1.5]]] * 2


def length(rank: int, world: int, text: str) -> int:
    return len(text)


def test_a_later_call_may_be_larger_than_what_a_socket_takes_at_once() -> None:
    assert lab.run_ranks(length, 1, "") == [0]
    assert lab.run_ranks(length, 1, "x" * 4_000_000) == [4_000_000]


def test_ranks_start_with_the_same_random_state_in_every_call(cell: dict[str, Any]) -> None:
    draws = lab.run_ranks(cell["draw"], 2) + lab.run_ranks(cell["draw"], 2)
    assert len(set(draws)) == 1


def test_what_ranks_print_is_prefixed_with_their_number(
    cell: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    lab.run_ranks(cell["speak"], 2)
    shown = capsys.readouterr()
    expected = [f"[rank {r}] {text}" for r in (0, 1) for text in (f"hello from {r}", "no newline")]
    assert sorted(shown.out.splitlines()) == sorted(expected)
    assert sorted(shown.err.splitlines()) == ["[rank 0] a warning", "[rank 1] a warning"]


def test_the_rank_that_failed_first_is_named_with_its_traceback(cell: dict[str, Any]) -> None:
    error = failure_of(cell["fail_on_one"], 3)
    assert error.root is not None
    assert (error.root.rank, error.root.state) == (1, RankState.RAISED)
    assert error.root.error == "ValueError: the second rank"
    assert error.root.types[:2] == ("ValueError", "Exception")
    assert [place[2] for place in error.root.places] == ["fail_on_one"]
    assert str(error).startswith("rank 1 of 3 failed first: ValueError: the second rank")
    assert "in fail_on_one" in str(error)
    assert "rank_server" not in str(error)


def test_a_rank_that_dies_is_the_cause_though_its_peer_complains(cell: dict[str, Any]) -> None:
    error = failure_of(cell["fail_before_its_peers_notice"])
    assert error.root is not None
    assert (error.root.rank, error.root.state) == (1, RankState.DIED)
    assert "exited with status 7" in str(error)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("disagree", r"rank \d called (ALLREDUCE|BROADCAST) .* and rank \d called"),
        ("disagree_on_shape", r"\(shape \[\d\]\) and rank \d called ALLREDUCE \(shape \[\d\]\)"),
        ("skip_a_collective", r"Rank 1 had already returned while rank 0 waited in a collective"),
    ],
)
def test_ranks_that_disagree_on_a_collective_are_told_so_before_the_limit(
    cell: dict[str, Any], function: str, said: str
) -> None:
    # The limit is far beyond the test's own: waiting for it would fail the test.
    error = failure_of(cell[function], limit_s=3000.0)
    assert error.root is not None
    assert re.search(said, str(error))


def test_ranks_that_hang_are_ended_at_the_limit_and_located(cell: dict[str, Any]) -> None:
    started = time.monotonic()
    error = failure_of(cell["hang"], limit_s=1.0)
    assert time.monotonic() - started < 20
    assert error.root is None
    assert [status.state for status in error.ranks] == [RankState.RETURNED, RankState.UNFINISHED]
    assert "After 1 s, rank 1 of 2 had not finished" in str(error)
    assert "in hang" in error.ranks[1].traceback


def test_ranks_that_ignore_signals_are_ended_all_the_same(cell: dict[str, Any]) -> None:
    error = failure_of(cell["hang_deaf"], limit_s=0.5)
    assert [status.state for status in error.ranks] == [RankState.UNFINISHED] * 2


def test_a_daemon_that_a_rank_leaves_behind_is_ended(cell: dict[str, Any]) -> None:
    assert lab.run_ranks(cell["leave_a_daemon"], 2) == [0, 1]
    assert _ranks_alive() == []


def test_a_value_that_cannot_be_sent_back_is_the_failure_of_its_rank(cell: dict[str, Any]) -> None:
    error = failure_of(cell["return_a_generator"], 1)
    assert error.root is not None
    assert "returned a value that cannot be sent back (generator)" in error.root.error


def test_arguments_that_cannot_be_sent_are_refused_before_anything_starts(
    cell: dict[str, Any],
) -> None:
    with pytest.raises(TypeError, match="cannot be sent to a rank"):
        lab.run_ranks(cell["total"], 2, (i for i in range(3)))


@pytest.mark.parametrize(("world_size", "limit_s"), [(0, 1.0), (65, 1.0), (2, 0.0)])
def test_impossible_sizes_and_limits_are_refused(
    cell: dict[str, Any], world_size: int, limit_s: float
) -> None:
    with pytest.raises(ValueError, match=r"world_size|timeout_s"):
        lab.run_ranks(cell["describe"], world_size, timeout_s=limit_s)


def test_an_interrupt_ends_the_ranks_and_the_next_call_works(cell: dict[str, Any]) -> None:
    lab.run_ranks(cell["describe"], 1)
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(KeyboardInterrupt):
            lab.run_ranks(cell["hang_deaf"], 2)
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert _ranks_alive() == []
    assert len(lab.run_ranks(cell["describe"], 2)) == 2


def test_the_helper_and_its_ranks_end_with_the_notebook() -> None:
    code = (
        "import os, time\n"
        "from shardwork import lab\n"
        "def wait(rank, world_size):\n"
        "    print(os.getpid(), os.getppid(), flush=True)\n"
        "    time.sleep(600)\n"
        "lab.run_ranks(wait, 1)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment
    ) as notebook:
        assert notebook.stdout is not None
        line = notebook.stdout.readline()
        processes = [psutil.Process(int(word)) for word in line.split()[2:]]
        notebook.kill()
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert len(processes) == 2
    assert alive == []
