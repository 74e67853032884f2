"""A training job in each rank, for a function that uses `hvd`. Sandbox side: answers are claims."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from shardwork.probes import modules
from shardwork.probes.server import question


@question("torch.hvd.train")
def train(
    rank: int, world: int, target: Callable[[dict[str, Any]], object], job: dict[str, Any]
) -> tuple[list[torch.Tensor], object]:
    """Call `target(cfg)`; return the parameters of the model afterwards, and what it returned.

    job: `sizes` and `weights` of a small network, `X`, `y`, `X_val`, `y_val`, the numbers of `cfg`,
    and `resume`: None, or `weights`, `momenta` (by parameter), `lr` and `epoch` of a checkpoint.
    """
    cfg = dict(job)
    sizes = cfg.pop("sizes")
    cfg["model"] = modules.build("mlp", sizes, cfg.pop("weights"))
    for key in ("X", "y", "X_val", "y_val"):
        cfg[key] = cfg[key].clone()
    if cfg["resume"] is not None:
        cfg["resume"] = _checkpoint(sizes, cfg["momentum"], cfg["resume"])
    returned = target(cfg)
    return [p.detach().clone() for p in cfg["model"].parameters()], returned


def _checkpoint(sizes: list[int], momentum: float, saved: dict[str, Any]) -> dict[str, Any]:
    """Build what torch.save would have written: state dicts of a model and of its optimiser."""
    model = modules.build("mlp", sizes, saved["weights"])
    optimizer = torch.optim.SGD(model.parameters(), lr=saved["lr"], momentum=momentum)
    for parameter, buffer in zip(model.parameters(), saved["momenta"], strict=True):
        optimizer.state[parameter]["momentum_buffer"] = buffer.clone()
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": saved["epoch"],
    }
