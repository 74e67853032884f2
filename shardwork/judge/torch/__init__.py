"""What a grader sees of torch: modules, and their parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from shardwork.judge.dialogue import Dialogue
from shardwork.judge.handle import Handle, handle
from shardwork.judge.observed import typed


class Module(Handle):
    """A torch module in the sandbox."""

    kind = "torch.module"

    def parameters(self) -> list[np.ndarray[Any, Any]]:
        """Return the values of the parameters, in the order of `module.parameters()`."""
        return typed(self._dialogue.ask("torch.parameters", self), list[np.ndarray])


class Torch:
    """Make torch inputs in the sandbox."""

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue

    def module(
        self, kind: str, sizes: list[int], weights: dict[str, np.ndarray[Any, Any]]
    ) -> Module:
        """Build one of the networks of `shardwork.probes.modules` with these weights."""
        made = self._dialogue.make("torch.module", kind, sizes, weights)
        return handle(self._dialogue, made, Module, "module")

    def mse_loss(self) -> Module:
        """Return the mean squared error, averaged over all elements."""
        return handle(self._dialogue, self._dialogue.make("torch.mse_loss"), Module, "mse_loss")
