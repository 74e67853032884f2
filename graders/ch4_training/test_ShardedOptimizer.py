"""4.10 `ShardedOptimizer`: ZeRO-1 on real gloo ranks.

A probe in each rank hands the class an optimiser that notes the state it keeps, sets gradients,
makes steps, and counts what the collectives carry. These are claims; the parameters and the very
numbers of the state are held against one process with the plain optimiser, in float64.
"""

from __future__ import annotations

import numpy as np
import torch as framework

from shardwork.grading import blame, close, once_per_seed
from shardwork.judge.torch.sharded import Rank, steps_on_ranks

TOLERANCE = 1e-9
MOST_SENT = 2.0
"""Times the parameters, per step. Broadcasts and gathers of the shards are 1, with padding somewhat
more; everybody sending everything is the number of ranks, here 4."""
KINDS = {"Adam": framework.optim.Adam, "SGD": framework.optim.SGD}
Values = list[np.ndarray]


class Case:
    """Parameters in groups, gradients for each step, and what one process makes of them."""

    def __init__(self, rng, world, kind, options, shapes, own, *, steps=3, rates=()):
        self.world, self.kind, self.options, self.own = world, kind, options, own
        self.groups = [[rng.normal(size=shape) for shape in group] for group in shapes]
        self.flat = [value for group in self.groups for value in group]
        self.gradients = [[rng.normal(size=v.shape) for v in self.flat] for _ in range(steps)]
        self.rates = [list(rates[i]) if i < len(rates) else [] for i in range(steps)]
        self.numbers = sum(value.size for value in self.flat)
        self.right, self.moments = self.one_process(own, self.rates)

    def one_process(self, own, rates) -> tuple[list[Values], np.ndarray]:
        """Return the parameters after each step, and all first moments, in rising order."""
        parameters = [
            [framework.nn.Parameter(framework.tensor(value)) for value in group]
            for group in self.groups
        ]
        flat = [p for group in parameters for p in group]
        given = [{"params": g, **more} for g, more in zip(parameters, own, strict=True)]
        optimizer = KINDS[self.kind](given, **self.options)
        after = []
        for gradients, step_rates in zip(self.gradients, rates, strict=True):
            for group, rate in zip(optimizer.param_groups, step_rates, strict=False):
                group["lr"] = rate
            for parameter, gradient in zip(flat, gradients, strict=True):
                parameter.grad = framework.tensor(gradient)
            optimizer.step()
            after.append([p.detach().numpy().copy() for p in flat])
        name = "exp_avg" if self.kind == "Adam" else "momentum_buffer"
        moments = [state[name].numpy().ravel() for state in optimizer.state.values()]
        return after, np.sort(np.concatenate(moments))

    def run(self, student) -> list[Rank]:
        return steps_on_ranks(
            student, "ShardedOptimizer", self.world, self.kind, self.options, self.groups,
            self.own, self.gradients, self.rates,
        )  # fmt: skip


def near(a: Values, b: Values) -> bool:
    return close(a, b, rel=TOLERANCE)


def require_values(case: Case, ranks: list[Rank]) -> None:
    """Assert that all ranks have the parameters of one process after every step."""
    for number, rank in enumerate(ranks):
        for step, (found, right) in enumerate(zip(rank.after, case.right, strict=True), start=1):
            if near(found, right):
                continue
            if step == 1:
                # Numbers that this rank should have got from others, and which are as before.
                stale, wrong = 0, 0
                for one, new, old in zip(found, right, case.flat, strict=True):
                    as_new = np.isclose(one, new, rtol=1e-9, atol=1e-12)
                    as_old = one == old
                    stale += int((as_old & ~as_new).sum())
                    wrong += int((~as_old & ~as_new).sum())
                assert wrong or not 0 < stale < case.numbers, blame(
                    "STALE_PARAMS", rank=number, stale=stale, numbers=case.numbers
                )
            assert False, blame(
                because="After step {step}, the parameters of rank {rank} are not those of the "
                "plain optimiser in one process.", step=step, rank=number,
            )  # fmt: skip


@once_per_seed
def adam(rng) -> Case:
    """Four ranks; parameters of very different sizes, none of which a rank can split evenly."""
    shapes = [[(30, 40), (40,), (40, 20), (20,), (20, 50), (50,), (50, 8), (8,), (60,)]]
    return Case(rng, 4, "Adam", {"lr": float(rng.uniform(0.01, 0.1))}, shapes, [{}])


@once_per_seed
def momentum(rng) -> Case:
    shapes = [[(6, 5), (5,), (5, 4), (4,), (3, 3)]]
    return Case(rng, 2, "SGD", {"lr": 0.1, "momentum": 0.9}, shapes, [{}], steps=4)


@once_per_seed
def grouped(rng) -> Case:
    shapes = [[(6, 7), (5, 7), (4, 3)], [(7,), (5,), (3,), (2,)]]
    own = [{"weight_decay": 0.3}, {"lr": 0.4, "weight_decay": 0.0}]
    rates = [[], [0.02, 0.2], [], [0.3, 0.05]]
    return Case(rng, 3, "Adam", {"lr": 0.1, "eps": 1e-6}, shapes, own, steps=5, rates=rates)


@once_per_seed
def few(rng) -> Case:
    return Case(rng, 4, "Adam", {"lr": 0.05}, [[(3, 2), (4,)]], [{}], steps=2)


def test_adam(student, seed):
    """With Adam on four ranks, all parameters are those of the plain optimiser, step by step."""
    case = adam(seed)
    require_values(case, case.run(student))


def test_momentum(student, seed):
    """It works with another class, too: SGD with momentum; and zero_grad clears all gradients."""
    case = momentum(seed)
    ranks = case.run(student)
    require_values(case, ranks)
    assert all(rank.cleared for rank in ranks), blame(
        because="After zero_grad some parameter still has a gradient."
    )


def test_state(student, seed):
    """Each number of the state is kept on one rank only, and the shares are about equal."""
    case = adam(seed)
    ranks = case.run(student)
    kept = [rank.kept for rank in ranks]
    assert sum(kept), blame(
        because="No rank keeps any state in an optimiser of the class that was given."
    )
    assert min(kept) < case.numbers, blame("NOT_SHARDED", kept=kept[0], numbers=case.numbers)
    together = np.sort(np.concatenate([m for rank in ranks for m in rank.moments]))
    together = together[together != 0.0]  # padding of a flat shard
    if together.size > case.numbers:
        at = np.searchsorted(case.moments, together).clip(1, case.numbers - 1)
        below, above = together - case.moments[at - 1], case.moments[at] - together
        gaps = np.minimum(np.abs(below), np.abs(above))
        assert gaps.max() > 1e-9, blame("STATE_OVERLAP", kept=together.size, numbers=case.numbers)
    assert together.size == case.numbers and close(together, case.moments, rel=TOLERANCE), blame(
        because="The states of all ranks together are not the state of the plain optimiser: "
        "{kept} numbers of first moments for {numbers} numbers of parameters.",
        kept=together.size, numbers=case.numbers,
    )  # fmt: skip
    sizes = [sum(rank.state_sizes) for rank in ranks]
    assert sum(sizes) <= 2 * (case.numbers + 8 * case.world), blame(
        because="The ranks keep more state than the plain optimiser."
    )
    largest = max(value.size for value in case.flat)
    bound = case.numbers / case.world + largest
    assert max(kept) <= bound, blame(
        "DEALT_BY_COUNT", kept=max(kept), numbers=case.numbers, world=case.world, largest=largest
    )


def test_exchange(student, seed):
    """In each step every rank receives the parameters about once: not less, and not much more."""
    case = adam(seed)
    ranks = case.run(student)
    least, most = 8 * case.numbers * (1 - 1 / case.world) / 2, 8 * case.numbers * MOST_SENT
    received = [size for rank in ranks for _, size in rank.sent]
    assert sum(received) > 0, blame(because="Nothing passes between the ranks in a step.")
    assert max(received) <= most, blame(
        because="In one step, {received} bytes pass through a rank, for {numbers} parameters of 8 "
        "bytes. Each parameter should travel once.",
        received=max(received), numbers=case.numbers,
    )  # fmt: skip
    assert min(received) >= least, blame(
        because="Some rank receives too little in a step to have all parameters."
    )


def test_groups(student, seed):
    """Parameter groups keep their options, and a changed learning rate counts at once."""
    case = grouped(seed)
    ranks = case.run(student)
    for rank in ranks:
        assert rank.groups_problem not in ("none", "number", "options"), blame(
            "GROUPS_LOST", problem=rank.groups_problem
        )
        assert not rank.groups_problem, blame(
            because="Each group of param_groups should hold all parameters of that group, in a "
            'list "params", on every rank.',
        )
    last = ranks[0].after[-1]
    lost = case.one_process([{}, {}], case.rates)[0]
    frozen = case.one_process(case.own, [[]] * len(case.rates))[0]
    assert not near(last, lost[-1]) and not near(ranks[0].after[0], lost[0]), blame("GROUPS_LOST")
    assert not near(last, frozen[-1]), blame(
        because="The learning rate was changed in param_groups between two steps, and the steps "
        "do not follow it."
    )
    require_values(case, ranks)


def test_few_parameters(student, seed):
    """It works with fewer parameters than ranks."""
    case = few(seed)
    require_values(case, case.run(student))
