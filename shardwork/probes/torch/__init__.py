"""Build and describe torch objects (torch 2.13). Sandbox side: answers are claims."""

from __future__ import annotations

from typing import Any

import torch

from shardwork.probes import modules
from shardwork.probes.server import question


@question("torch.module")
def make_module(kind: str, sizes: list[int], weights: dict[str, Any]) -> object:
    """Build one of the course's small networks."""
    torch.set_num_threads(1)
    return modules.build(kind, sizes, weights)


@question("torch.parameters")
def parameters(module: torch.nn.Module) -> list[torch.Tensor]:
    """Return the parameters of a module, in the order of `module.parameters()`."""
    return [parameter.detach().clone() for parameter in module.parameters()]


@question("torch.mse_loss")
def mse_loss() -> torch.nn.Module:
    """Return the mean squared error."""
    return torch.nn.MSELoss()
