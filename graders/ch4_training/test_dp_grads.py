"""4.1 `dp_grads`: the gradient of the mean over all shards equals the single-process gradient.

The all-reduce is an instrument of the judge: it holds what every rank gave, and knows when ranks
fall out of step. The truth is autograd over all rows in one process, in float64.
"""

from __future__ import annotations

import numpy as np
import torch as framework

from shardwork.grading import GLOO_ALLREDUCE, AllReduce, OracleBank, StudentFault, blame
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
    """Equal shapes, and a norm-relative difference below the tolerance."""
    if [x.shape for x in a] != [x.shape for x in b]:
        return False
    flat_a, flat_b = (np.concatenate([x.ravel() for x in g]) for g in (a, b))
    return bool(np.linalg.norm(flat_a - flat_b) <= TOLERANCE * max(np.linalg.norm(flat_b), 1e-30))


def mix(gradients: list[Gradient], factors: list[float]) -> Gradient:
    return [sum(f * g for f, g in zip(factors, parts)) for parts in zip(*gradients)]


class Run:
    """One call on all ranks, and the gradients that known mistakes would give on the same input."""

    def __init__(self, student, torch, data, starts, kind="mlp") -> None:
        self.data, self.starts, self.kind = data, starts, kind
        self.reduce = AllReduce()
        self.modules = [torch.module(kind, SIZES, start) for start in starts]
        loss = torch.mse_loss()
        per_rank = [
            [module, loss, tensor(X), tensor(y), self.reduce]
            for module, (X, y) in zip(self.modules, data)
        ]
        try:
            self.results = student.ranks("dp_grads", per_rank, as_=Gradient)
        except StudentFault:
            # A rank that skips a collective, or calls one too many, takes the others with it.
            unused = kind == "gated" and bool(self.reduce.out_of_step or self.reduce.mismatch)
            assert self.reduce.mismatch is None, blame(
                "SKIPS_UNUSED" if unused else None,
                because="" if unused else "The ranks fell out of step in all-reduce number {number}.",
                number=len(self.reduce.rounds) + 1,
            )
            raise

    def bank(self, rank: int) -> OracleBank[Gradient]:
        """The right gradient for this rank, and those of the known mistakes that differ here."""
        world, rows = len(self.data), [len(X) for X, _ in self.data]
        first = self.starts[0]
        local = [gradient(self.kind, first, X, y) for X, y in self.data]
        X, y = (np.concatenate(parts) for parts in zip(*self.data))
        right = gradient(self.kind, first, X, y)
        wrong = {"SUM_NOT_MEAN": mix(local, [1.0] * world), "LOCAL_ONLY": local[rank]}
        if len(set(rows)) > 1:
            wrong["MEAN_OF_MEANS"] = mix(local, [1.0 / world] * world)
        if any(start is not first for start in self.starts):
            own = [gradient(self.kind, s, X, y) for s, (X, y) in zip(self.starts, self.data)]
            wrong["NO_INIT_BROADCAST"] = mix(own, [r / sum(rows) for r in rows])
        return OracleBank(right, wrong, same)

    def check(self) -> None:
        """Assert that every rank has the right gradient; name the mistake that explains it."""
        for rank, result in enumerate(self.results):
            bank = self.bank(rank)
            if bank.accepts(result):
                continue
            why = bank.explain(result, rank=rank, world=len(self.data))
            if why.code == "LOCAL_ONLY" and self.parameters_were_reduced():
                why = blame("AVERAGES_PARAMS", **why.evidence)
            assert False, why

    def parameters_were_reduced(self) -> bool:
        """Whether in some round every rank gave the very parameters, of more than one element."""
        known = [w.ravel() for w in self.starts[0].values()]
        known.append(np.concatenate(known))
        return any(
            all(any(np.array_equal(g.ravel(), k) for k in known if k.size > 1) for g in done.given)
            for done in self.reduce.rounds
        )


def tensor(array: np.ndarray):
    from shardwork.wire import Tensor

    return Tensor(array)


def test_even_shards(student, torch, rng):
    """With shards of equal size, every rank returns the single-process gradient."""
    for world in (2, int(rng.integers(3, 5))):
        start = weights(rng)
        Run(student, torch, shards(rng, [6] * world), [start] * world).check()


def test_uneven_shards(student, torch, rng):
    """With shards of different sizes, every row counts the same."""
    for rows in ([3, 9], [int(r) for r in rng.permutation([2, 5, 11])]):
        start = weights(rng)
        Run(student, torch, shards(rng, rows), [start] * len(rows)).check()


def test_one_rank(student, torch, rng):
    """A world of one rank gives the plain gradient."""
    run = Run(student, torch, shards(rng, [7]), [weights(rng)])
    X, y = run.data[0]
    assert same(run.results[0], gradient("mlp", run.starts[0], X, y)), blame()


def test_different_weights(student, torch, rng):
    """Ranks that start from different weights all use, and end with, those of rank 0."""
    run = Run(student, torch, shards(rng, [4, 4, 4]), [weights(rng) for _ in range(3)])
    run.check()
    right = list(run.starts[0].values())
    for rank, module in enumerate(run.modules):
        equal = all(np.allclose(p, w, rtol=1e-12, atol=1e-12)
                    for p, w in zip(module.parameters(), right, strict=True))  # fmt: skip
        assert equal, blame(
            because="After the call, the parameters of rank {rank} are not the initial weights of "
            "rank 0.", rank=rank,
        )  # fmt: skip


def test_unused_parameters(student, torch, rng):
    """A parameter that takes no part on one rank counts as zero there, and no rank falls behind."""
    for unused in ({0}, {1}, {0, 1}):
        data = shards(rng, [5, 5])
        for rank, (X, _) in enumerate(data):
            X[:, 0] = -np.abs(X[:, 0]) if rank in unused else np.abs(X[:, 0])
        start = weights(rng, "gated")
        Run(student, torch, data, [start] * 2, kind="gated").check()


def test_gloo(student, torch, rng):
    """The same function gives the same gradient on two real processes with gloo."""
    start, data = weights(rng), shards(rng, [4, 8])
    loss = torch.mse_loss()
    per_rank = [
        [torch.module("mlp", SIZES, start), loss, tensor(X), tensor(y), GLOO_ALLREDUCE] for X, y in data
    ]
    results = student.ranks("dp_grads", per_rank, as_=Gradient, on="gloo")
    X, y = (np.concatenate(parts) for parts in zip(*data))
    right = gradient("mlp", start, X, y)
    for rank, result in enumerate(results):
        assert same(result, right), blame(rank=rank)
