"""The small networks that graders give to a student's function, built the same on both sides.

A module is named by its kind and sizes, and its weights are sent as arrays: no code travels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Mlp(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """Two layers with a tanh between them: (rows, inputs) to (rows, outputs), float64."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, hidden, dtype=torch.float64)
        self.second = nn.Linear(hidden, outputs, dtype=torch.float64)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.second(torch.tanh(self.first(rows)))


class Gated(Mlp):
    """An Mlp with a branch that only rows with a positive first feature take.

    On a shard without such rows the branch takes no part, and its parameters get no gradient.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__(inputs, hidden, outputs)
        self.branch = nn.Linear(inputs, outputs, dtype=torch.float64)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        out = super().forward(rows)
        taken = rows[:, 0] > 0
        if bool(taken.any()):
            out = out + taken.to(rows.dtype).unsqueeze(1) * self.branch(rows)
        return out


KINDS = {"mlp": Mlp, "gated": Gated}


def build(kind: str, sizes: list[int], weights: dict[str, Any]) -> nn.Module:
    """Build the module `kind` with `sizes` (inputs, hidden, outputs) and these weights, by name."""
    module = KINDS[kind](*sizes)
    state = {name: torch.as_tensor(array) for name, array in weights.items()}
    module.load_state_dict(state)
    return module
