"""Note the collectives of a rank, whoever makes them (torch 2.13).

Sandbox side, inside a gloo rank: what is noted is a claim. Every collective of `torch.distributed`
and of DDP's reducer passes the dispatcher as an operator `c10d::...`, however the group was made.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class Collectives(TorchDispatchMode):  # type: ignore[misc]  # torch is not followed by mypy
    """While it is entered, append `(operator, numbers, bytes)` of each collective to `events`.

    The operator is named as in `torch.ops.c10d`, without underscores at its ends. Counted is what
    the rank holds afterwards: for a gather, what all ranks have contributed. The count of
    `numbers` leaves out tensors of whole numbers, which are flags and headers.
    """

    def __init__(self, events: list[tuple[str, int, int]]) -> None:
        super().__init__()
        self.events = events

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function.namespace == "c10d":
            given = list(_tensors(args[0]))
            numbers = sum(t.numel() for t in given if t.is_floating_point())
            size_bytes = sum(t.numel() * t.element_size() for t in given)
            self.events.append((function._opname.strip("_"), numbers, size_bytes))
        return function(*args, **(kwargs or {}))


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _tensors(one)
