"""`lab.hvd` over gloo does what Horovod 0.28.1 does; expected values are worked out by hand."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch

from shardwork import lab
from shardwork.lab import hvd_gloo as hvd

pytestmark = pytest.mark.functional


def calls(rank: int, world: int) -> dict[str, Any]:
    raised = ""
    try:
        hvd.rank()
    except ValueError as error:
        raised = str(error)
    hvd.init()
    mine = torch.tensor([1.0, 10.0 * rank], dtype=torch.float64)
    sums = hvd.allreduce(mine, op=hvd.Sum)
    weight = torch.tensor(1.0 + rank, requires_grad=True)
    hvd.allreduce(weight * rank).backward()  # each of 3 ranks gives it a gradient of 1, averaged
    named = {"b": torch.full((2,), float(rank)), "a": torch.tensor(rank)}
    hvd.broadcast_parameters(named, root_rank=2)
    return {
        "before init": raised,
        "place": (hvd.rank(), hvd.size(), hvd.local_rank(), hvd.cross_size()),
        "average": hvd.allreduce(mine).tolist(),
        "sum": sums.tolist(),
        "untouched": mine.tolist(),
        "largest": hvd.allreduce(mine, op=hvd.Max).tolist(),
        "gathered": hvd.allgather(torch.arange(rank + 1)).tolist(),
        "object": hvd.broadcast_object({"from": rank}, root_rank=1),
        "parameters": (named["a"].item(), named["b"].tolist()),
        "gradient": None if weight.grad is None else weight.grad.item(),
    }


def test_collectives() -> None:
    for rank, found in enumerate(lab.run_ranks(calls, 3)):
        assert found == {
            "before init": "Horovod has not been initialized; use hvd.init().",
            "place": (rank, 3, rank, 1),
            "average": [1.0, 10.0],
            "sum": [3.0, 30.0],
            "untouched": [1.0, 10.0 * rank],
            "largest": [1.0, 20.0],
            "gathered": [0, 0, 1, 0, 1, 2],
            "object": {"from": 1},
            "parameters": (2, [2.0, 2.0]),
            "gradient": float(rank),
        }


def made(rank: int) -> tuple[torch.nn.Parameter, Any]:
    weight = torch.nn.Parameter(torch.tensor([1.0, 1.0], dtype=torch.float64))
    first = torch.optim.SGD([weight], lr=0.5, momentum=0.5)
    if rank == 0:
        first.state[weight]["momentum_buffer"] = torch.tensor([4.0, 8.0], dtype=torch.float64)
    return weight, first


def steps(rank: int, world: int) -> dict[str, Any]:
    hvd.init()
    weight, first = made(rank)
    wrapped = hvd.DistributedOptimizer(first, named_parameters=[("w", weight)])
    found: dict[str, Any] = {
        "class": (isinstance(wrapped, torch.optim.SGD), type(wrapped).__name__),
        "taken over": (len(wrapped.state), wrapped.param_groups[0]["momentum"]),
    }
    wrapped.load_state_dict(first.state_dict())
    hvd.broadcast_optimizer_state(wrapped, root_rank=0)
    (weight * (2.0 * rank)).sum().backward()  # gradients 0 and 2: their average is 1
    found["own gradient"] = weight.grad.tolist()
    try:
        wrapped.zero_grad()
    except AssertionError as error:
        found["too early"] = "before optimizer.step()" in str(error)
    wrapped.step()
    found["average"] = weight.grad.tolist()
    found["after"] = weight.tolist()  # momentum 4, 8 -> 3, 5; 1 - 0.5 * that
    wrapped.zero_grad()
    return found


def test_wrapped_optimizer() -> None:
    for rank, found in enumerate(lab.run_ranks(steps, 2)):
        assert found == {
            "class": (True, "SGD"),
            "taken over": (0, 0.5),
            "own gradient": [2.0 * rank] * 2,
            "too early": True,
            "average": [1.0, 1.0],
            "after": [-0.5, -1.5],
        }


def unlike(rank: int, world: int) -> None:
    hvd.init()
    if rank == 0:
        hvd.broadcast_parameters({"w": torch.zeros(3)}, root_rank=0)
    hvd.allreduce(torch.zeros(4, 2))


def test_different_calls_are_an_error_that_names_them() -> None:
    with pytest.raises(lab.RankError) as caught:
        lab.run_ranks(unlike, 2)
    assert caught.value.root is not None
    assert (
        "rank 0 called broadcast (shape [3]), rank 1 called allreduce (shape [4, 2])"
        in caught.value.root.error
    )


def test_one_rank_outside_of_run_ranks() -> None:
    hvd.init()
    try:
        assert (hvd.rank(), hvd.size()) == (0, 1)
        tensor = torch.tensor([3.0])
        assert hvd.allreduce(tensor).tolist() == hvd.broadcast(tensor, 0).tolist() == [3.0]
        assert hvd.allgather(tensor).tolist() == [3.0]
    finally:
        hvd.shutdown()


@pytest.mark.parametrize("wrong", [{"op": hvd.Sum, "gradient_predivide_factor": 2.0},
                                   {"backward_passes_per_step": 0},
                                   {"named_parameters": []},
                                   {"named_parameters": ["w"]}])  # fmt: skip
def test_impossible_arguments_are_refused(wrong: dict[str, Any]) -> None:
    hvd.init()
    try:
        with pytest.raises(ValueError):
            hvd.DistributedOptimizer(made(1)[1], **wrong)
        with pytest.raises(ValueError, match="invalid params"):
            hvd.broadcast_parameters(iter([torch.zeros(1)]), root_rank=0)
    finally:
        hvd.shutdown()


def test_facade_says_which_module_it_is() -> None:
    known = lab.hvd.backend()
    assert known == "shardwork.lab.hvd_gloo" or known.startswith("horovod 0.")
    with pytest.raises(AttributeError):
        lab.hvd.no_such_call  # noqa: B018 - looking it up is the test


def test_every_name_is_there_and_another_one_imports_nothing() -> None:
    assert all(hasattr(hvd, name) for name in lab.hvd.NAMES)
    look = (
        "import sys\nfrom shardwork.lab import hvd\nassert not hasattr(hvd, 'elsewhere')\n"
        "assert 'torch' not in sys.modules\nhvd.Sum\nassert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", look], check=True, timeout=120)
