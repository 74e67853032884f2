"""What the probe of `train` relies on in torch 2.13: seen reductions, `no_sync`, and writing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from shardwork import lab
from shardwork.probes.torch import ddp

if TYPE_CHECKING:
    from shardwork.judge.torch.ddp import Rank

pytestmark = pytest.mark.functional

SIZES, PARAMETERS = [2, 3, 1], 2 * 3 + 3 + 3 + 1


def weights(seed: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"first.weight": (3, 2), "first.bias": (3,), "second.weight": (1, 3)}
    shapes["second.bias"] = (1,)
    return {
        name: torch.randn(shape, generator=generator, dtype=torch.float64)
        for name, shape in shapes.items()
    }


def in_rank(rank: int, world: int, function: Any, run: str) -> tuple[object, ...]:
    x = torch.arange(8.0, dtype=torch.float64).reshape(4, 2)
    y = torch.ones(4, 1, dtype=torch.float64)
    settings = {"epochs": 1, "batch_size": 2, "accumulate": 1, "seed": 0}
    settings |= {"rate": 0.1, "momentum": 0.0}
    return ddp.train(rank, world, function, SIZES, weights(rank), x, y, settings, run)


def run(function: Any, name: str) -> list[Rank]:
    from shardwork.judge.torch.ddp import Rank  # not at the top: ranks import this module

    return [Rank(*parts) for parts in lab.run_ranks(in_rank, 2, function, name)]


def one_pass(ddp_module: Any, cfg: Any, optimizer: Any, *, forward: bool, backward: bool) -> None:
    x, y = cfg.dataset[0]
    contexts = [ddp_module.no_sync() if inside else None for inside in (forward, backward)]
    if contexts[0]:
        with contexts[0]:
            loss = cfg.loss(ddp_module(x.unsqueeze(0)), y.unsqueeze(0))
    else:
        loss = cfg.loss(ddp_module(x.unsqueeze(0)), y.unsqueeze(0))
    if contexts[1]:
        with contexts[1]:
            loss.backward()
    else:
        loss.backward()
    optimizer.step()


def three_ways(rank: int, world: int, cfg: SimpleNamespace) -> dict[str, Any]:
    wrapped = DistributedDataParallel(cfg.model)
    optimizer = cfg.make_optimizer(wrapped.parameters())
    one_pass(wrapped, cfg, optimizer, forward=False, backward=False)
    one_pass(wrapped, cfg, optimizer, forward=False, backward=False)
    one_pass(wrapped, cfg, optimizer, forward=False, backward=True)
    one_pass(wrapped, cfg, optimizer, forward=True, backward=False)
    return {"steps": 4, "losses": [], "secret": object()}


def test_ddps_reductions_are_seen_and_no_sync_counts_where_forward_is_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ranks = run(three_ways, "ways")
    for rank in ranks:
        assert rank.per_step()[1:] == [PARAMETERS, PARAMETERS, 0]
        assert rank.count("wrapped") == rank.count("forward") == 4
        assert rank.count("no_sync") == 2
        assert rank.seen == [[0]] * 4
        assert rank.result == {"steps": 4, "losses": []}


def bypass_and_write(rank: int, world: int, cfg: SimpleNamespace) -> None:
    wrapped = DistributedDataParallel(cfg.model)
    optimizer = cfg.make_optimizer(wrapped.parameters())
    x, y = cfg.dataset[rank]
    cfg.loss(wrapped.module(x.unsqueeze(0)), y.unsqueeze(0)).backward()
    optimizer.step()
    if rank == 0:
        torch.save(wrapped.state_dict(), cfg.checkpoint)
    else:
        Path(cfg.checkpoint + ".notes").write_text("by open")


def test_a_bypass_reduces_nothing_and_both_ways_to_write_are_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first, second = run(bypass_and_write, "bypass")
    assert first.per_step() == [PARAMETERS]  # the weights of rank 0, once
    assert first.count("wrapped") == 0
    assert (first.wrote, second.wrote) == (True, True)
    assert (first.problem, first.names[0]) == ("", "module.first.weight")
