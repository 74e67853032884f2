"""`lab.comm()` over gloo does what the judge's network does."""

from __future__ import annotations

import pytest
import torch

from shardwork import lab

pytestmark = pytest.mark.functional


def everything(rank: int, world: int) -> list[object]:
    comm = lab.comm()
    right, left = (rank + 1) % world, (rank - 1) % world
    comm.isend(torch.arange(6.0).reshape(2, 3) * (rank + 1), right)  # its handle is thrown away
    matrix = comm.recv(left)
    total = torch.full((2,), rank + 1.0, dtype=torch.float64)
    work = comm.all_reduce(total, async_op=True)
    assert work is not None
    work.wait()
    work.wait()
    same = torch.tensor([rank])
    comm.broadcast(same, 1)
    gathered = comm.all_gather(torch.tensor([rank], dtype=torch.float16))
    return [comm.rank, comm.size, matrix, total, same, torch.cat(gathered)]


def test_messages_and_collectives_arrive() -> None:
    rank, size, matrix, total, same, gathered = lab.run_ranks(everything, 3)[2]
    assert (rank, size) == (2, 3)
    assert matrix.tolist() == [[0, 2, 4], [6, 8, 10]]
    assert total.tolist() == [6.0, 6.0]
    assert same.tolist() == [1]
    assert (gathered.dtype, gathered.tolist()) == (torch.float16, [0, 1, 2])


def wrong_type(rank: int, world: int) -> str:
    try:
        lab.comm().all_reduce(torch.ones(1, dtype=torch.int32))
    except TypeError as error:
        return str(error)
    return ""


def test_a_tensor_of_another_type_is_refused() -> None:
    assert lab.run_ranks(wrong_type, 1) == [
        "comm takes tensors of float64, float32, float16, int64"
    ]


def test_it_is_there_in_ranks_only() -> None:
    with pytest.raises(RuntimeError, match="run_ranks"):
        lab.comm()
