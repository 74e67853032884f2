"""Train a stack of layers with the student's data-parallel wrapper, in one rank.

Sandbox side: what is returned is a claim. The layers tell `mark`, an instrument of the judge, when
the backward pass comes to them, so that the judge sees what happened between which layers.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from shardwork.probes.server import question


class Stack(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """Linear layers with a tanh between them: (rows, widths[0]) to (rows, widths[-1]).

    gates: pairs `(layer, column)`. Such a layer has as many outputs as inputs and is added to what
        goes by; without a row whose feature `column` is positive it is left out, so that its
        parameters get no gradient.
    tied: pairs `[a, b]`: layer b uses the weight of layer a.
    frozen: layers whose parameters need no gradient.
    mark: called with the number of a layer when the backward pass comes to it, after all gradients
        of the layers behind it are there. What goes further back is multiplied by its answer, so
        that no gradient of a layer is right before its mark has been set.
    """

    def __init__(
        self,
        widths: list[int],
        dtype: str = "float64",
        gates: list[tuple[int, int]] | None = None,
        tied: list[list[int]] | None = None,
        frozen: list[int] | None = None,
        mark: Callable[[int], float] | None = None,
    ) -> None:
        super().__init__()
        self.gates = dict(gates or [])
        self.mark = mark
        self.layers = nn.ModuleList(
            nn.Linear(inputs, outputs, dtype=getattr(torch, dtype))
            for inputs, outputs in pairwise(widths)
        )
        for first, second in tied or []:
            self.layers[second].weight = self.layers[first].weight
        for layer in frozen or []:
            self.layers[layer].requires_grad_(False)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        out = rows
        for i, layer in enumerate(self.layers):
            if i in self.gates:
                taken = rows[:, self.gates[i]] > 0
                if not bool(taken.any()):
                    continue
                out = out + taken.to(out.dtype).unsqueeze(1) * layer(out)
            else:
                out = layer(torch.tanh(out) if i else out)
            if self.mark is not None and out.requires_grad:
                out.register_hook(_marker(self.mark, i))
        return out


def _marker(mark: Callable[[int], float], layer: int) -> Callable[[torch.Tensor], torch.Tensor]:
    def came_to(gradient: torch.Tensor) -> torch.Tensor:
        return gradient * mark(layer)

    return came_to


def build(spec: dict[str, Any], weights: list[Any], mark: Any = None) -> Stack:
    """Build a Stack whose parameters, in the order of `parameters()`, have these values."""
    stack = Stack(**spec, mark=mark)
    with torch.no_grad():
        for parameter, value in zip(stack.parameters(), weights, strict=True):
            parameter.copy_(torch.as_tensor(value))
    return stack


def gradients(module: nn.Module) -> list[torch.Tensor]:
    """Return the gradients of the parameters that need one; an empty tensor stands for None."""
    return [
        torch.empty(0) if p.grad is None else p.grad.detach().clone()
        for p in module.parameters()
        if p.requires_grad
    ]


@question("torch.bucket.train")
def train(
    rank: int,
    world: int,
    target: Callable[..., Any],
    comm: Any,
    mark: Callable[[object], object] | None,
    spec: dict[str, Any],
    weights: list[Any],
    batches: list[Any],
    cap_bytes: int,
    rate: float,
) -> list[list[torch.Tensor]]:
    """Make steps of SGD; return the parameters at the start, and the gradients of each step.

    batches: pairs of rows and targets, one for each step. `mark` is also told `"forward"`,
    `"backward"`, `"finish"` and `"done"`: each is said before that part begins.
    """
    torch.set_num_threads(1)
    tell = mark if mark is not None else _silent
    module = build(spec, weights, mark)
    wrapped = target(module, comm, cap_bytes)
    seen = [[p.detach().clone() for p in module.parameters()]]
    for rows, targets in batches:
        module.zero_grad()
        tell("forward")
        out = wrapped(rows)
        if not isinstance(out, torch.Tensor):
            raise TypeError(f"forward returned a {type(out).__name__}, not what the module returns")
        loss = nn.functional.mse_loss(out, targets)
        tell("backward")
        loss.backward()
        tell("finish")
        wrapped.finish()
        tell("done")
        seen.append(gradients(module))
        with torch.no_grad():
            for parameter in module.parameters():
                if parameter.grad is not None:
                    parameter.sub_(rate * parameter.grad)
    return seen


def _silent(_: object) -> None:
    """There is nobody to tell."""
