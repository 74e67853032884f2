"""What a grader sees of a training run on gloo ranks, as `shardwork.probes.torch.ddp` notes it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

import numpy as np

from shardwork.judge.student import Student
from shardwork.wire import Tensor

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Rank:
    """What one rank did. All of it are claims of the sandbox."""

    result: object
    """What the function returned; of a dict, the entries `steps` and `losses` alone."""
    events: list[tuple[str, int, int]]
    """In true order: `forward` (rows, 0), `wrapped` (a DDP module was called), `no_sync`, `step`,
    `write` (a file below the folder of the checkpoint was opened for writing or renamed), and each
    collective by the name of its operator (numbers, bytes)."""
    seen: list[list[int]]
    """For each `forward` with gradients, the numbers of its rows; -1 for a row of no data set."""
    weights: list[Array]
    """The parameters of the plain model, afterwards."""
    wrote: bool
    problem: str
    """Why the checkpoint cannot be read as names and tensors (`none` if this rank wrote none)."""
    names: list[str]
    tensors: list[Array]

    def per_step(self) -> list[int]:
        """Return how many numbers passed through collectives before each optimiser step."""
        sums = [0]
        for what, numbers, _ in self.events:
            if what == "step":
                sums.append(0)
            elif what not in ("forward", "wrapped", "no_sync", "write"):
                sums[-1] += numbers
        return sums[:-1]

    def count(self, what: str) -> int:
        """Return how many events of this kind there are."""
        return sum(event[0] == what for event in self.events)


def train_on_ranks(
    student: Student,
    name: str,
    sizes: list[int],
    weights: list[dict[str, Array]],
    x: Array,
    y: Array,
    settings: dict[str, Any],
) -> list[Rank]:
    """Call `name(rank, world, cfg)` on gloo ranks that begin with these weights, one dict each.

    x: (rows, inputs), y: (rows, outputs). settings: `epochs`, `batch_size`, `accumulate`, `seed`,
    and `rate` and `momentum` of the optimiser (SGD).
    """
    run = secrets.token_hex(8)
    per_rank = [[sizes, own, Tensor(x), Tensor(y), settings, run] for own in weights]
    kind: Any = tuple[
        Any, list[tuple[str, int, int]], list[list[int]], list[np.ndarray], bool, str,
        list[str], list[np.ndarray],
    ]  # fmt: skip
    parts: list[Any] = student.ranks(
        name, per_rank, as_=kind, on="gloo", driver="torch.ddp.train"
    )  # fmt: skip
    return [Rank(*part) for part in parts]
