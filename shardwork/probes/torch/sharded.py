"""Use a student's sharded optimiser in a gloo rank, and note what it keeps and sends (torch 2.13).

Sandbox side: what is noted is a claim. The judge holds the parameters and the state against those
of one process with the plain optimiser.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from shardwork.probes.server import question
from shardwork.probes.torch.collectives import Collectives

MOST_EVENTS = 5_000
KINDS = {"Adam": torch.optim.Adam, "SGD": torch.optim.SGD}


@question("torch.sharded.steps")
def steps(
    rank: int,
    world: int,
    target: Callable[..., Any],
    kind: str,
    options: dict[str, float],
    groups: list[list[torch.Tensor]],
    own: list[dict[str, float]],
    gradients: list[list[torch.Tensor]],
    rates: list[list[float]],
) -> tuple[object, ...]:
    """Make `target(params, cls, **options)`, and a step with each entry of `gradients`.

    groups: the values of the parameters, by group; own: the options of each group's own; with one
    group that has none, the parameters are given as a plain generator. gradients: by step, for all
    parameters in order. rates: by step, the learning rate that each group is set to before; []
    leaves them. Returns the parts of `shardwork.judge.torch.sharded.Rank`.
    """
    made: list[torch.optim.Optimizer] = []
    watched = type(kind, (KINDS[kind],), {"__init__": _noting(KINDS[kind], made)})
    parameters = [[torch.nn.Parameter(value.clone()) for value in group] for group in groups]
    flat = [parameter for group in parameters for parameter in group]
    given: Any = [{"params": g, **more} for g, more in zip(parameters, own, strict=True)]
    if len(groups) == 1 and not own[0]:
        given = (parameter for parameter in flat)
    events: list[tuple[str, int, int]] = []
    after: list[list[torch.Tensor]] = []
    sent: list[tuple[int, int]] = []
    problem = ""
    with Collectives(events):
        optimizer = target(given, watched, **options)
        for number, step in enumerate(gradients):
            if not problem:
                problem = _groups_problem(optimizer, parameters, own, options, number == 0)
            if rates[number] and not problem:
                for group, rate in zip(optimizer.param_groups, rates[number], strict=True):
                    group["lr"] = rate
            for parameter, gradient in zip(flat, step, strict=True):
                parameter.grad = gradient.clone()
            begun = len(events)
            optimizer.step()
            sent.append(_received(events[begun:]))
            after.append([parameter.detach().clone() for parameter in flat])
            optimizer.zero_grad()
    cleared = all(p.grad is None or not bool(p.grad.any()) for p in flat)
    state = _state(made)
    return after, sent, problem, cleared, [size for _, size in state], [v for v, _ in state]


def _noting(plain: Any, made: list[torch.optim.Optimizer]) -> Callable[..., None]:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        plain.__init__(self, *args, **kwargs)
        made.append(self)

    return __init__


def _groups_problem(
    optimizer: Any,
    parameters: list[list[torch.nn.Parameter]],
    own: list[dict[str, float]],
    options: dict[str, float],
    fresh: bool,
) -> str:
    """Say what is wrong with `param_groups`: `none`, `number`, `members`, `options`; "" if not."""
    groups = getattr(optimizer, "param_groups", None)
    if not isinstance(groups, (list, tuple)) or not all(isinstance(g, dict) for g in groups):
        return "none"
    if len(groups) != len(parameters):
        return "number"
    for group, members, more in zip(groups, parameters, own, strict=True):
        found = list(group.get("params", ()))
        if {id(p) for p in found} != {id(p) for p in members} or len(found) != len(members):
            return "members"
        wanted = {**options, **more}
        if fresh and any(group.get(name) != value for name, value in wanted.items()):
            return "options"
    return ""


def _received(events: list[tuple[str, int, int]]) -> tuple[int, int]:
    """Return the collectives and messages of a step, and their bytes as this rank holds them."""
    return len(events), sum(size for what, _, size in events if what not in ("barrier", "send"))


def _state(made: list[torch.optim.Optimizer]) -> list[tuple[torch.Tensor, int]]:
    """Return the momentum (first moment) of every parameter that has a state, and its numbers.

    Numbers are those of all tensors of the state but counters of steps.
    """
    found = []
    for optimizer in made:
        for state in optimizer.state.values():
            tensors = {k: v for k, v in state.items() if isinstance(v, torch.Tensor) and v.dim()}
            first = tensors.get("exp_avg", tensors.get("momentum_buffer"))
            if first is not None:
                size = sum(value.numel() for value in tensors.values())
                found.append((first.detach().clone().reshape(-1), size))
    return found
