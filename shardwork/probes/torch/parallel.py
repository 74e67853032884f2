"""Use a student's tensor-parallel layers in one rank. Sandbox side: what comes back are claims.

The layers are built from whole matrices, put behind one another as blocks with a nonlinearity in
between, and run forward and backward once. Marks between the steps go to an instrument of the judge
that shares its list of events with the network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from shardwork.probes.server import question

Layer = Callable[[object, torch.Tensor, torch.Tensor], torch.nn.Module]


@question("torch.parallel.step")
def step(
    rank: int,
    world: int,
    column: Layer,
    row: Layer,
    comm: object,
    mark: Callable[[int, str], object] | None,
    weights: list[list[torch.Tensor]],
    x: torch.Tensor,
    upstream: torch.Tensor | None,
    residual: bool,
    needs_grad: bool,
) -> dict[str, torch.Tensor | None]:
    """Run blocks `row(gelu(column(x)))` forward, and backward from `upstream` if there is one.

    weights: of each block, `[column weight, column bias, row weight, row bias]`, all of them whole.
    mark: told this rank and each step, if there is such an instrument.
    residual: add the input of a block to its output. needs_grad: `x` wants a gradient.
    Returns tensors by name; gradients that were not computed are None.
    """
    torch.set_num_threads(1)
    blocks = [(column(comm, a, b), row(comm, c, d)) for a, b, c, d in weights]
    _say(mark, rank, "built")
    x = x.clone().requires_grad_(needs_grad)
    found: dict[str, torch.Tensor | None] = {}
    with torch.set_grad_enabled(upstream is not None):
        y = _forward(rank, blocks, x, mark, residual, found)
    found["y"] = y
    if upstream is not None and y.requires_grad:
        y.backward(upstream)
    _say(mark, rank, "backward")
    found["x.grad"] = x.grad
    for number, pair in enumerate(blocks):
        for name, layer in zip(("column", "row"), pair, strict=True):
            found |= _parameters(f"{number}.{name}.", layer)
    return found


def _forward(
    rank: int,
    blocks: list[tuple[torch.nn.Module, torch.nn.Module]],
    x: torch.Tensor,
    mark: Callable[[int, str], object] | None,
    residual: bool,
    found: dict[str, torch.Tensor | None],
) -> torch.Tensor:
    for number, (column, row) in enumerate(blocks):
        hidden = column(x)
        _say(mark, rank, "column")
        found[f"{number}.hidden"] = hidden
        y = row(torch.nn.functional.gelu(hidden))
        _say(mark, rank, "row")
        x = x + y if residual else y
    return x


def _say(mark: Callable[[int, str], object] | None, rank: int, step: str) -> None:
    if mark is not None:
        mark(rank, step)


def _parameters(prefix: str, layer: Any) -> dict[str, torch.Tensor | None]:
    """Return the parameters and buffers of a layer by name, and the gradients of the former."""
    found: dict[str, torch.Tensor | None] = {}
    for name, parameter in layer.named_parameters():
        found[prefix + name] = parameter
        found[f"{prefix}{name}.grad"] = parameter.grad
    for name, buffer in layer.named_buffers():
        found[f"{prefix}{name}.buffer"] = buffer
    return found
