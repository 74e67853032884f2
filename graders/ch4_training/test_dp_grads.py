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


class Run:
    """One call on all ranks, and the gradients that known mistakes would give on the same input.

    `skipped` is the code for ranks that fall out of step, if a run without unused parameters has
    shown that they do not fall out of step by themselves.
    """

    def __init__(
        self, student, torch, data, starts, kind="mlp", *, skipped=None, reduce=None
    ) -> None:
        self.data, self.starts, self.kind = data, starts, kind
        self.reduce = reduce or AllReduce()
        self.modules = [torch.module(kind, SIZES, start) for start in starts]
        loss = torch.mse_loss()
        per_rank = [
            [module, loss, tensor(X), tensor(y), self.reduce]
            for module, (X, y) in zip(self.modules, data, strict=True)
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

    def bank(self, rank: int) -> OracleBank[Gradient]:
        """The right gradient for this rank, and those of the known mistakes that differ here."""
        world, rows = len(self.data), [len(X) for X, _ in self.data]
        first = self.starts[0]
        local = [gradient(self.kind, first, X, y) for X, y in self.data]
        wrong = {"SUM_NOT_MEAN": mix(local, [1.0] * world), "LOCAL_ONLY": local[rank]}
        if len(set(rows)) > 1:
            wrong["MEAN_OF_MEANS"] = mix(local, [1.0 / world] * world)
        if any(start is not first for start in self.starts):
            own = [
                gradient(self.kind, start, X, y)
                for start, (X, y) in zip(self.starts, self.data, strict=True)
            ]
            wrong["NO_INIT_BROADCAST"] = mix(own, [r / sum(rows) for r in rows])
        return OracleBank(self.right, wrong, same)

    @property
    def right(self) -> Gradient:
        X, y = (np.concatenate(parts) for parts in zip(*self.data, strict=True))
        return gradient(self.kind, self.starts[0], X, y)

    def check(self, confirm: Callable[[], Run] | None = None) -> None:
        """Assert that every rank has the right gradient; name the mistake that explains it.

        With shards of one size, a sum is also what a factor of `world` anywhere else gives:
        `confirm` makes a run on uneven shards, which tells them apart.
        """
        for rank, result in enumerate(self.results):
            require_form(result, self.right)
            bank = self.bank(rank)
            if bank.accepts(result):
                continue
            code = bank.explain(result).code
            if code == "SUM_NOT_MEAN" and confirm is not None:
                other = confirm()
                code = other.bank(0).explain(other.results[0]).code
                code = code if code == "SUM_NOT_MEAN" else None
            if code == "LOCAL_ONLY" and self.parameters_were_reduced():
                code = "AVERAGES_PARAMS"
            assert False, blame(code, rank=rank, world=len(self.data)) if code else not_right(rank)
        self.require_exchange()

    def require_exchange(self) -> None:
        """Assert that as many numbers passed through all-reduce as there are weights, or more."""
        numbers = sum(done.total.size for done in self.reduce.rounds)
        needed = sum(w.size for w in self.starts[0].values())
        assert len(self.data) == 1 or numbers >= needed, blame(
            because="The gradient is right, but what the ranks gave to allreduce is not enough to "
            "compute it: they know of each other by another way.",
            numbers=numbers, weights=needed,
        )  # fmt: skip

    def parameters_were_reduced(self) -> bool:
        """Whether every rank gave the very parameters, after they had been exchanged once."""
        known = [w.ravel() for w in self.starts[0].values()]
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


def uneven(student, torch, rng) -> Run:
    start = weights(rng)
    return Run(student, torch, shards(rng, [2, 7, 4]), [start] * 3)


def test_even_shards(student, torch, rng):
    """With shards of equal size, every rank returns the single-process gradient."""
    for world in (2, int(rng.integers(3, 5))):
        start, data = weights(rng), shards(rng, [6] * world)
        Run(student, torch, data, [start] * world).check(lambda: uneven(student, torch, rng))
    try:
        run = Run(student, torch, data, [start] * world, reduce=Poison())
    except StudentFault as fault:
        if fault.cause is not Cause.RAISED:
            raise
        return  # a size that is not a number, for example
    assert not all(same(result, run.right) for result in run.results), blame(
        because="The gradient is right whatever allreduce returns: the ranks know of each other by "
        "another way."
    )


def test_uneven_shards(student, torch, rng):
    """With shards of different sizes, every row counts the same."""
    for rows in ([3, 9], [int(r) for r in rng.permutation([2, 5, 11])]):
        start = weights(rng)
        Run(student, torch, shards(rng, rows), [start] * len(rows)).check()


def test_one_rank(student, torch, rng):
    """A world of one rank gives the plain gradient."""
    run = Run(student, torch, shards(rng, [7]), [weights(rng)])
    require_form(run.results[0], run.right)
    assert same(run.results[0], run.right), not_right(0)


def test_different_weights(student, torch, rng):
    """Ranks that start from different weights all use, and end with, those of rank 0."""
    run = Run(student, torch, shards(rng, [4, 4, 4]), [weights(rng) for _ in range(3)])
    run.check(lambda: uneven(student, torch, rng))
    right = list(run.starts[0].values())
    for rank, module in enumerate(run.modules):
        found = module.parameters()
        equal = [p.shape for p in found] == [w.shape for w in right] and all(
            np.allclose(p, w, rtol=1e-12, atol=1e-12) for p, w in zip(found, right, strict=True)
        )
        assert equal, blame(
            because="After the call, the parameters of rank {rank} are not the initial weights of "
            "rank 0.", rank=rank,
        )  # fmt: skip


def test_unused_parameters(student, torch, rng):
    """A parameter that takes no part on one rank counts as zero there, and no rank falls behind."""
    skipped = None
    for unused in (set(), {0}, {1}, {0, 1}):  # the first shows what happens if all are used
        data = shards(rng, [5, 5])
        for rank, (X, _) in enumerate(data):
            X[:, 0] = -np.abs(X[:, 0]) if rank in unused else np.abs(X[:, 0])
        start = weights(rng, "gated")
        run = Run(student, torch, data, [start] * 2, kind="gated", skipped=skipped)
        run.check(lambda: uneven(student, torch, rng))
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
