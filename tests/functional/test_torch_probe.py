"""The small networks are the same on both sides of the boundary."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from shardwork.probes import modules
from shardwork.probes import torch as probe

pytestmark = pytest.mark.functional


def weights(module: torch.nn.Module, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=tuple(p.shape)) for name, p in module.state_dict().items()}


@pytest.mark.parametrize("kind", sorted(modules.KINDS))
def test_a_module_has_the_weights_it_was_given_in_float64(kind: str) -> None:
    given = weights(modules.KINDS[kind](3, 4, 2), seed=1)
    built = probe.make_module(kind, [3, 4, 2], given)
    found = probe.parameters(built)
    assert [p.dtype for p in found] == [torch.float64] * len(given)
    assert all(np.array_equal(p, w) for p, w in zip(found, given.values(), strict=True))


def test_the_branch_gets_no_gradient_from_rows_that_do_not_take_it() -> None:
    given = weights(modules.Gated(3, 4, 2), seed=2)
    built = modules.build("gated", [3, 4, 2], given)
    rows = -torch.rand(5, 3, dtype=torch.float64) - 0.1
    built(rows).sum().backward()
    assert built.branch.weight.grad is None
    assert built.first.weight.grad is not None


def test_the_branch_counts_only_rows_that_take_it() -> None:
    given = weights(modules.Gated(2, 3, 1), seed=3)
    gated = modules.build("gated", [2, 3, 1], given)
    plain = modules.build("mlp", [2, 3, 1], {k: v for k, v in given.items() if "branch" not in k})
    rows = torch.tensor([[1.0, 2.0], [-1.0, 2.0]], dtype=torch.float64)
    branch = given["branch.weight"] @ np.array([1.0, 2.0]) + given["branch.bias"]
    difference = (gated(rows) - plain(rows)).detach().numpy()
    assert np.allclose(difference, [branch, [0.0]])
