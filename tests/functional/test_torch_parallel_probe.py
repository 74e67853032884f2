"""The driver for tensor-parallel layers: what it calls, marks and reports."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from shardwork.probes.torch.parallel import step

pytestmark = pytest.mark.functional


class Whole(torch.nn.Linear):
    """A layer in one piece, with the arguments of one that is cut."""

    def __init__(self, comm: object, weight: torch.Tensor, bias: torch.Tensor) -> None:
        super().__init__(*weight.shape[::-1], dtype=weight.dtype)
        self.register_buffer("kept", torch.ones(1))
        with torch.no_grad():
            self.weight.copy_(weight)
            self.bias.copy_(bias)


def run(upstream: torch.Tensor | None, *, residual: bool = False, needs_grad: bool = True) -> Any:
    shapes = [(4, 3), (4,), (3, 4), (3,)]
    weights = [torch.full(shape, 0.5, dtype=torch.float64) for shape in shapes]
    x = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64)
    marks: list[tuple[int, str]] = []

    def mark(rank: int, name: str) -> None:
        marks.append((rank, name))

    found = step(1, 2, Whole, Whole, None, mark, [weights], x, upstream, residual, needs_grad)
    return found, marks


def test_every_step_is_marked_with_the_rank() -> None:
    _, marks = run(None)
    assert marks == [(1, "built"), (1, "column"), (1, "row"), (1, "backward")]


def test_output_gradients_and_everything_that_a_layer_keeps_come_back() -> None:
    found, _ = run(torch.ones(1, 3, dtype=torch.float64), residual=True)
    hidden = torch.nn.functional.gelu(torch.full((1, 4), 3.5, dtype=torch.float64))
    by_hand = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64) + 0.5 * hidden.sum() + 0.5
    assert torch.allclose(found["y"], by_hand)
    assert found["0.row.bias.grad"].tolist() == [1.0, 1.0, 1.0]
    assert found["0.column.kept.buffer"].tolist() == [1.0]
    assert found["x.grad"].shape == (1, 3)
    assert found["0.hidden"].shape == (1, 4)


def test_without_an_upstream_gradient_there_is_no_graph_and_no_gradient() -> None:
    found, _ = run(None)
    assert not found["y"].requires_grad
    assert found["0.row.weight.grad"] is None


def test_an_input_that_wants_no_gradient_gets_none() -> None:
    found, _ = run(torch.ones(1, 3, dtype=torch.float64), needs_grad=False)
    assert found["x.grad"] is None
    assert found["0.column.weight.grad"] is not None
