"""What a grader sees of a sharded optimiser on gloo ranks, as `shardwork.probes.torch.sharded`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from shardwork.judge.student import Student
from shardwork.wire import Tensor

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Rank:
    """What one rank has. All of it are claims of the sandbox."""

    after: list[list[Array]]
    """The parameters after each step."""
    sent: list[tuple[int, int]]
    """For each step, the number of collectives and messages, and their bytes as this rank holds
    them: of a gather, what all ranks contribute."""
    groups_problem: str
    """What is wrong with `param_groups`: `none`, `number`, `members`, `options`; "" if nothing."""
    cleared: bool
    """Whether no gradient is left after `zero_grad`."""
    state_sizes: list[int]
    """For each tensor that some optimiser of the given class keeps state for: numbers of it."""
    moments: list[Array]
    """The first moments (momentum) in that state, flat."""

    @property
    def kept(self) -> int:
        """How many numbers of the parameters this rank keeps state for."""
        return sum(moment.size for moment in self.moments)


def steps_on_ranks(
    student: Student,
    name: str,
    world: int,
    kind: str,
    options: dict[str, float],
    groups: list[list[Array]],
    own: list[dict[str, float]],
    gradients: list[list[Array]],
    rates: list[list[float]],
) -> list[Rank]:
    """Use the student's class on gloo ranks; the arguments are those of the probe's `steps`."""
    sent: list[object] = [
        kind,
        options,
        [[Tensor(value) for value in group] for group in groups],
        own,
        [[Tensor(value) for value in step] for step in gradients],
        rates,
    ]
    form: Any = tuple[
        list[list[np.ndarray]], list[tuple[int, int]], str, bool, list[int], list[np.ndarray]
    ]
    parts: list[Any] = student.ranks(
        name, [sent] * world, as_=form, on="gloo", driver="torch.sharded.steps"
    )  # fmt: skip
    return [Rank(*part) for part in parts]
