"""4.1 `dp_grads`: the gradient of the mean over all shards equals the single-process gradient.

The all-reduce is an instrument of the judge: it holds what every rank gave, and knows when ranks
fall out of step. The truth is autograd over all rows in one process, in float64.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch as framework

from shardwork.grading import (
    GLOO_ALLREDUCE,
    AllReduce,
    Cause,
    OracleBank,
    Refusal,
    StudentFault,
    blame,
    close,
    once_per_seed,
)
from shardwork.probes.modules import build

SIZES = [4, 5, 2]
TOLERANCE = 1e-10
Gradient = list[np.ndarray]


def shards(rng, rows: list[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(rng.normal(size=(r, SIZES[0])), rng.normal(size=(r, SIZES[2]))) for r in rows]


def weights(rng, kind: str = "mlp") -> dict[str, np.ndarray]:
    inputs, hidden, outputs = SIZES
    shapes = {"first.weight": (hidden, inputs), "first.bias": (hidden,),
              "second.weight": (outputs, hidden), "second.bias": (outputs,)}  # fmt: skip
    if kind == "gated":
        shapes |= {"branch.weight": (outputs, inputs), "branch.bias": (outputs,)}
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


def gradient(kind: str, at: dict[str, np.ndarray], X: np.ndarray, y: np.ndarray) -> Gradient:
    """The single-process gradient of the mean squared error over all rows given."""
    module = build(kind, SIZES, at)
    framework.nn.MSELoss()(module(framework.from_numpy(X)), framework.from_numpy(y)).backward()
    return [
        np.zeros(tuple(p.shape)) if p.grad is None else p.grad.numpy() for p in module.parameters()
    ]


def same(a: Gradient, b: Gradient) -> bool:
    """Equal shapes and types, and a norm-relative difference below the tolerance."""
    return close(a, b, rel=TOLERANCE, abs=1e-30 * TOLERANCE)


def mix(gradients: list[Gradient], factors: list[float]) -> Gradient:
    return [sum(f * g for f, g in zip(factors, parts, strict=True))
            for parts in zip(*gradients, strict=True)]  # fmt: skip


class Case:
    """Data and initial weights of all ranks, and what is right and wrong for them."""

    def __init__(self, data, starts, kind="mlp") -> None:
        self.data, self.starts, self.kind = data, starts, kind
        X, y = (np.concatenate(parts) for parts in zip(*data, strict=True))
        self.right = gradient(kind, starts[0], X, y)
        self.local = [gradient(kind, starts[0], X, y) for X, y in data]
        self.own = [gradient(kind, s, X, y) for s, (X, y) in zip(starts, data, strict=True)]

    def bank(self, rank: int) -> OracleBank[Gradient]:
        """The right gradient for this rank, and those of the known mistakes that differ here."""
        world, rows = len(self.data), [len(X) for X, _ in self.data]
        wrong = {"SUM_NOT_MEAN": mix(self.local, [1.0] * world), "LOCAL_ONLY": self.local[rank]}
        if len(set(rows)) > 1:
            wrong["MEAN_OF_MEANS"] = mix(self.local, [1.0 / world] * world)
        if any(start is not self.starts[0] for start in self.starts):
            wrong["NO_INIT_BROADCAST"] = mix(self.own, [r / sum(rows) for r in rows])
        return OracleBank(self.right, wrong, same)


class Run:
    """One call on all ranks of a case.

    `skipped` is the code for ranks that fall out of step, if a run without unused parameters has
    shown that they do not fall out of step by themselves.
    """

    def __init__(self, student, torch, case: Case, *, skipped=None, reduce=None) -> None:
        self.case = case
        self.reduce = reduce or AllReduce()
        self.modules = [torch.module(case.kind, SIZES, start) for start in case.starts]
        loss = torch.mse_loss()
        per_rank = [
            [module, loss, tensor(X), tensor(y), self.reduce]
            for module, (X, y) in zip(self.modules, case.data, strict=True)
        ]
        try:
            self.results = student.ranks("dp_grads", per_rank, as_=Gradient)
        except StudentFault as fault:
            # A rank that skips a collective, or calls one too many, takes the others with it. A
            # rank that raises does so, too: then its own exception came first and says more.
            step = self.reduce.mismatch is None or self.reduce.mismatch not in fault.detail
            assert step, blame(
                skipped,
                because="" if skipped
                else "The ranks fell out of step in all-reduce number {number}.",
                number=len(self.reduce.rounds) + 1,
            )  # fmt: skip
            raise

    def check(self, confirm: Callable[[], Run] | None = None) -> None:
        """Assert that every rank has the right gradient; name the mistake that explains it.

        With shards of one size, a sum is also what a factor of `world` anywhere else gives:
        `confirm` makes a run on uneven shards, which tells them apart.
        """
        for rank, result in enumerate(self.results):
            require_form(result, self.case.right)
            bank = self.case.bank(rank)
            if bank.accepts(result):
                continue
            code = bank.explain(result).code
            if code == "SUM_NOT_MEAN" and confirm is not None:
                other = confirm()
                code = other.case.bank(0).explain(other.results[0]).code
                code = code if code == "SUM_NOT_MEAN" else None
            if code == "LOCAL_ONLY" and self.parameters_were_reduced():
                code = "AVERAGES_PARAMS"
            assert False, (
                blame(code, rank=rank, world=len(self.case.data)) if code else not_right(rank)
            )
        self.require_exchange()

    def require_exchange(self) -> None:
        """Assert that as many numbers passed through all-reduce as there are weights, or more."""
        numbers = sum(done.total.size for done in self.reduce.rounds)
        needed = sum(w.size for w in self.case.starts[0].values())
        assert len(self.case.data) == 1 or numbers >= needed, blame(
            because="The gradient is right, but what the ranks gave to allreduce is not enough to "
            "compute it: they know of each other by another way.",
            numbers=numbers, weights=needed,
        )  # fmt: skip

    def parameters_were_reduced(self) -> bool:
        """Whether every rank gave the very parameters, after they had been exchanged once."""
        known = [w.ravel() for w in self.case.starts[0].values()]
        known.append(np.concatenate(known))
        before = 0  # numbers exchanged before this round
        for done in self.reduce.rounds:
            if before >= known[-1].size and all(
                any(np.array_equal(g.ravel(), k) for k in known if k.size > 1) for g in done.given
            ):
                return True
            before += done.total.size
        return False


def not_right(rank: int):
    return blame(
        because="The result of rank {rank} is not the gradient of the mean loss over all rows.",
        rank=rank,
    )


def require_form(result: Gradient, right: Gradient) -> None:
    """Assert the number, shapes and types of the entries, which say more than a wrong value."""
    assert len(result) == len(right), blame(
        because="The list has {entries} entries; the model has {parameters} parameters.",
        entries=len(result), parameters=len(right),
    )  # fmt: skip
    assert [g.shape for g in result] == [g.shape for g in right], blame(
        because="Some entry of the list has another shape than its parameter."
    )
    assert all(g.dtype == np.float64 for g in result), blame(
        because="Some entry of the list is not of the type float64."
    )


def tensor(array: np.ndarray):
    from shardwork.wire import Tensor

    return Tensor(array)


class Poison(AllReduce):
    """An all-reduce whose sums are not numbers: what depends on it is not a number either."""

    def invoked(self, args, rank, answer) -> None:
        super().invoked(args, rank, lambda value: answer(poisoned(value)))


def poisoned(value: object) -> object:
    return value if isinstance(value, Refusal) else tensor(np.full_like(value.array, np.nan))


@once_per_seed
def confirming(rng) -> Case:
    return Case(shards(rng, [2, 7, 4]), [weights(rng)] * 3)


@once_per_seed
def even(rng) -> list[Case]:
    worlds = (2, int(rng.integers(3, 5)))
    return [Case(shards(rng, [6] * world), [weights(rng)] * world) for world in worlds]


@once_per_seed
def uneven(rng) -> list[Case]:
    rows = ([3, 9], [int(r) for r in rng.permutation([2, 5, 11])])
    return [Case(shards(rng, r), [weights(rng)] * len(r)) for r in rows]


@once_per_seed
def unlike(rng) -> Case:
    return Case(shards(rng, [4, 4, 4]), [weights(rng) for _ in range(3)])


@once_per_seed
def unused(rng) -> list[Case]:
    """Two ranks on which a branch is used by both, by one, by the other, by none."""
    cases = []
    for without in (set(), {0}, {1}, {0, 1}):
        data = shards(rng, [5, 5])
        for rank, (X, _) in enumerate(data):
            X[:, 0] = -np.abs(X[:, 0]) if rank in without else np.abs(X[:, 0])
        cases.append(Case(data, [weights(rng, "gated")] * 2, "gated"))
    return cases


def test_even_shards(student, torch, seed):
    """With shards of equal size, every rank returns the single-process gradient."""
    for case in even(seed):
        Run(student, torch, case).check(lambda: Run(student, torch, confirming(seed)))
    try:
        run = Run(student, torch, case, reduce=Poison())
    except StudentFault as fault:
        if fault.cause is not Cause.RAISED:
            raise
        return  # a size that is not a number, for example
    assert not all(same(result, case.right) for result in run.results), blame(
        because="The gradient is right whatever allreduce returns: the ranks know of each other by "
        "another way."
    )


def test_uneven_shards(student, torch, seed):
    """With shards of different sizes, every row counts the same."""
    for case in uneven(seed):
        Run(student, torch, case).check()


def test_one_rank(student, torch, rng):
    """A world of one rank gives the plain gradient."""
    case = Case(shards(rng, [7]), [weights(rng)])
    run = Run(student, torch, case)
    require_form(run.results[0], case.right)
    assert same(run.results[0], case.right), not_right(0)


def test_different_weights(student, torch, seed):
    """Ranks that start from different weights all use, and end with, those of rank 0."""
    run = Run(student, torch, unlike(seed))
    run.check(lambda: Run(student, torch, confirming(seed)))
    right = list(run.case.starts[0].values())
    for rank, module in enumerate(run.modules):
        found = module.parameters()
        equal = [p.shape for p in found] == [w.shape for w in right] and all(
            np.allclose(p, w, rtol=1e-12, atol=1e-12) for p, w in zip(found, right, strict=True)
        )
        assert equal, blame(
            because="After the call, the parameters of rank {rank} are not the initial weights of "
            "rank 0.", rank=rank,
        )  # fmt: skip


def test_unused_parameters(student, torch, seed):
    """A parameter that takes no part on one rank counts as zero there, and no rank falls behind."""
    skipped = None
    for case in unused(seed):  # the first shows what happens if all are used
        run = Run(student, torch, case, skipped=skipped)
        run.check(lambda: Run(student, torch, confirming(seed)))
        skipped = "SKIPS_UNUSED"


def test_gloo(student, torch, rng):
    """The same function gives the same gradient on two real processes with gloo."""
    start, data = weights(rng), shards(rng, [4, 8])
    loss = torch.mse_loss()
    per_rank = [
        [torch.module("mlp", SIZES, start), loss, tensor(X), tensor(y), GLOO_ALLREDUCE]
        for X, y in data
    ]
    results = student.ranks("dp_grads", per_rank, as_=Gradient, on="gloo")
    X, y = (np.concatenate(parts) for parts in zip(*data, strict=True))
    right = gradient("mlp", start, X, y)
    for rank, result in enumerate(results):
        require_form(result, right)
        assert same(result, right), not_right(rank)
