"""The driver of `train_hvd` gives each rank its own job, and a checkpoint that torch can load."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from shardwork.probes.torch.hvd import train

pytestmark = pytest.mark.functional


def tensor(*shape: int) -> torch.Tensor:
    return torch.arange(1.0, 1.0 + torch.Size(shape).numel(), dtype=torch.float64).reshape(shape)


def weights(factor: float) -> dict[str, torch.Tensor]:
    shapes = {"first.weight": (2, 1), "first.bias": (2,),
              "second.weight": (1, 2), "second.bias": (1,)}  # fmt: skip
    return {name: factor * tensor(*shape) for name, shape in shapes.items()}


def job(**saved: Any) -> dict[str, Any]:
    rows = {"X": tensor(3, 1), "y": tensor(3, 1), "X_val": tensor(2, 1), "y_val": tensor(2, 1)}
    numbers = {"batch": 2, "epochs": 1, "warmup": 0, "lr": 0.5, "momentum": 0.5}
    return {"sizes": [1, 2, 1], "weights": weights(1.0), "resume": saved or None} | rows | numbers


def test_parameters_are_those_that_the_function_left() -> None:
    def fill(cfg: dict[str, Any]) -> dict[str, float]:
        assert "sizes" not in cfg and "weights" not in cfg
        with torch.no_grad():
            for parameter in cfg["model"].parameters():
                parameter.mul_(3.0)
        cfg["X"].zero_()
        return {"loss": 1.5}

    given = job()
    parameters, returned = train(0, 1, fill, given)
    assert returned == {"loss": 1.5}
    assert [p.tolist() for p in parameters] == [w.tolist() for w in weights(3.0).values()]
    assert given["X"].tolist() == tensor(3, 1).tolist()


def test_a_checkpoint_carries_weights_and_momentum_into_the_next_step() -> None:
    def resume(cfg: dict[str, Any]) -> int:
        model, saved = cfg["model"], cfg["resume"]
        optimizer = torch.optim.SGD(model.parameters(), lr=9.0, momentum=0.1)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        return int(saved["epoch"])

    momenta = list(weights(2.0).values())
    saved = {"weights": weights(10.0), "momenta": momenta, "lr": 0.25, "epoch": 7}
    parameters, epoch = train(0, 1, resume, job(**saved))
    assert epoch == 7
    # by hand: w = 10 k, buffer = 0.5 * 2 k + 1, step 0.25 of it
    expected = [(10 * k - 0.25 * (k + 1)).tolist() for k in weights(1.0).values()]
    assert [p.tolist() for p in parameters] == expected
