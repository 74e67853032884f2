"""Drive a step in mixed precision, and a loss scaler. Sandbox side: answers are claims."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from shardwork.probes.server import question


class Pull:
    """A loss that pulls every weight towards a target, computed in half precision.

    It is the sum over all parameters j of strength[j] / 2 * |weights[j] - targets[j]|^2; the
    difference is taken in float16, the sum in float32. So autograd gives the float16 gradient
    scale * strength[j] * (weights[j] - targets[j]) of the loss times scale: beyond 65504 it is
    infinite, and below half of 2^-24 it is zero.
    """

    def __init__(self, targets: Sequence[torch.Tensor], strengths: Sequence[float]) -> None:
        self.targets = [target.to(torch.float16) for target in targets]
        self.strengths = strengths

    def __call__(self, weights: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the loss of this rank's shard, float32. Raises TypeError unless given float16."""
        if len(weights) != len(self.targets):
            raise ValueError(f"loss takes {len(self.targets)} tensors; found: {len(weights)}")
        total = torch.zeros((), dtype=torch.float32)
        for weight, target, strength in zip(weights, self.targets, self.strengths, strict=True):
            if not isinstance(weight, torch.Tensor) or weight.dtype != torch.float16:
                found = getattr(weight, "dtype", type(weight).__name__)
                raise TypeError(f"loss takes float16 tensors; found: {found}")
            if weight.shape != target.shape:
                raise ValueError(f"loss takes the shapes of master; found: {tuple(weight.shape)}")
            distance = (weight - target).float()
            total = total + 0.5 * strength * (distance * distance).sum()
        return total


@question("torch.amp.steps")
def steps(
    rank: int,
    world: int,
    amp_step: Callable[..., object],
    scaler_class: Callable[..., Any],
    weights: Sequence[torch.Tensor],
    script: Sequence[tuple[Sequence[torch.Tensor], Sequence[float]]],
    settings: dict[str, Any],
    comm: object,
) -> list[tuple[object, float, list[torch.Tensor]]]:
    """Make the steps of a script; after each, tell what was returned, the scale and the weights.

    `script` has the targets and strengths of each step, for this rank. `settings` are the `scale`
    and `interval` of a new scaler, the learning rate `lr` and `max_norm`.
    """
    torch.set_num_threads(1)
    scaler = scaler_class(settings["scale"], settings["interval"])
    master = [torch.as_tensor(weight).clone() for weight in weights]
    told = []
    for targets, strengths in script:
        loss = Pull(targets, strengths)
        stepped = amp_step(master, loss, scaler, settings["lr"], settings["max_norm"], comm)
        told.append((stepped, float(scaler.scale), [one.detach().clone() for one in master]))
    return told


@question("torch.amp.scales")
def scales(
    rank: int,
    world: int,
    scaler_class: Callable[..., Any],
    scale: float,
    interval: int,
    overflows: Sequence[bool],
) -> list[float]:
    """Return the scale of a new scaler, at first and after each of its updates."""
    scaler = scaler_class(scale, interval)
    found = [float(scaler.scale)]
    for overflow in overflows:
        scaler.update(overflow)
        found.append(float(scaler.scale))
    return found
