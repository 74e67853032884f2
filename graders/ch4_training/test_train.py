"""4.3 `train`: DistributedDataParallel on real gloo ranks, with accumulated gradients.

A probe in each rank hands out the model, the data and the optimiser, and notes what happens to
them, and every collective. The notes are claims; the weights at the end corroborate them: one
process makes the same steps in float64, with the rows that the ranks say they have used.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch as framework

from shardwork.grading import OracleBank, blame, close, once_per_seed, same, typed
from shardwork.judge.torch.ddp import Rank, train_on_ranks
from shardwork.probes.modules import build

SIZES = [6, 16, 3]
PARAMETERS = 6 * 16 + 16 + 16 * 3 + 3
TOLERANCE = 1e-9
MOST = 1.5
"""Times the parameters, per step. One reduction of all gradients is 1, one more makes it 2; a few
numbers for a log are welcome."""
RATE, MOMENTUM = 0.05, 0.9
Batches = list[list[list[int]]]  # of each rank, in order
Weights = list[np.ndarray]


class Case:
    """Data, settings and the weights with which the ranks begin; those of rank 0 count."""

    def __init__(self, rng, world: int, *, batch: int, micro: int, accumulate: int, epochs: int):
        rows = world * batch * micro
        self.world, self.micro, self.rows = world, micro, rows
        self.x, self.y = rng.normal(size=(rows, SIZES[0])), rng.normal(size=(rows, SIZES[2]))
        self.settings = {
            "epochs": epochs, "batch_size": batch, "accumulate": accumulate,
            "seed": int(rng.integers(1, 1000)), "rate": RATE, "momentum": MOMENTUM,
        }  # fmt: skip
        shapes = {"first.weight": (16, 6), "first.bias": (16,),
                  "second.weight": (3, 16), "second.bias": (3,)}  # fmt: skip
        self.starts = [
            {name: rng.normal(0, 0.4, size=shape) for name, shape in shapes.items()}
            for _ in range(world)
        ]

    @property
    def epochs(self) -> int:
        return self.settings["epochs"]

    @property
    def accumulate(self) -> int:
        return self.settings["accumulate"]

    @property
    def steps(self) -> int:
        return self.epochs * math.ceil(self.micro / self.accumulate)

    def run(self, student) -> list[Rank]:
        return train_on_ranks(student, "train", SIZES, self.starts, self.x, self.y, self.settings)

    def one_process(self, batches: Batches, scale) -> tuple[Weights, list[list[float]]]:
        """Train on these rows alone; `scale(n)` is the factor of the n losses of a group.

        Returns the weights, and the losses of the micro-batches by rank.
        """
        module = build("mlp", SIZES, self.starts[0])
        optimizer = framework.optim.SGD(module.parameters(), lr=RATE, momentum=MOMENTUM)
        loss = framework.nn.MSELoss()
        x, y = framework.from_numpy(self.x), framework.from_numpy(self.y)
        losses: list[list[float]] = [[] for _ in batches]
        for epoch in range(self.epochs):
            for begin in range(0, self.micro, self.accumulate):
                group = range(begin, min(begin + self.accumulate, self.micro))
                for at in group:
                    for rank, own in enumerate(batches):
                        rows = own[epoch * self.micro + at]
                        value = loss(module(x[rows]), y[rows])
                        losses[rank].append(value.item())
                        (value * scale(len(group)) / len(batches)).backward()
                optimizer.step()
                optimizer.zero_grad()
        return [p.detach().numpy() for p in module.parameters()], losses


def near(a: Weights, b: Weights) -> bool:
    return close(a, b, rel=TOLERANCE)


def require_rows(ranks: list[Rank]) -> None:
    assert any(rank.seen for rank in ranks), blame(
        because="No rank applied the model to any row with gradients."
    )
    known = all(row >= 0 for rank in ranks for batch in rank.seen for row in batch)
    assert known, blame(because="The model was applied to rows that are not in the data set.")


def require_batches(case: Case, ranks: list[Rank]) -> Batches:
    """Assert that every rank has made as many micro-batches, of the size, as were asked for."""
    require_rows(ranks)
    wanted = case.epochs * case.micro
    for number, rank in enumerate(ranks):
        assert len(rank.seen) == wanted, blame(
            because="Rank {rank} applied the model to {found} micro-batches; with these settings "
            "its share is {wanted}.", rank=number, found=len(rank.seen), wanted=wanted,
        )  # fmt: skip
        sizes = {len(batch) for batch in rank.seen}
        assert sizes == {case.settings["batch_size"]}, blame(
            because="Some micro-batch of rank {rank} does not have batch_size rows.", rank=number
        )
    return [rank.seen for rank in ranks]


@once_per_seed
def for_rows(rng) -> Case:
    return Case(rng, 2, batch=int(rng.integers(2, 4)), micro=6, accumulate=2, epochs=3)


@once_per_seed
def for_reductions(rng) -> Case:
    return Case(rng, 2, batch=2, micro=6, accumulate=3, epochs=2)


@once_per_seed
def for_weights(rng) -> Case:
    return Case(rng, 3, batch=int(rng.integers(2, 4)), micro=5, accumulate=3, epochs=2)


@once_per_seed
def for_checkpoint(rng) -> Case:
    return Case(rng, 2, batch=2, micro=4, accumulate=2, epochs=1)


@once_per_seed
def for_report(rng) -> Case:
    return Case(rng, 1, batch=3, micro=6, accumulate=2, epochs=2)


def test_rows(student, seed):
    """In every epoch the ranks share the rows, each row once, and every epoch deals them anew."""
    case = for_rows(seed)
    ranks = case.run(student)
    require_rows(ranks)
    everything = [sorted(list(range(case.rows)) * case.epochs)] * case.world
    flat = [[row for batch in rank.seen for row in batch] for rank in ranks]
    assert [sorted(rows) for rows in flat] != everything, blame(
        "NO_SAMPLER", rows=case.rows, world=case.world
    )
    require_batches(case, ranks)
    share = case.rows // case.world
    by_epoch = [
        [rows[epoch * share : (epoch + 1) * share] for rows in flat]
        for epoch in range(case.epochs)
    ]  # fmt: skip
    for number, dealt in enumerate(by_epoch):
        together = sorted(row for rows in dealt for row in rows)
        assert together == list(range(case.rows)), blame(
            because="In epoch {epoch} some row was used twice, and another one not at all.",
            epoch=number,
        )
    assert any(dealt != by_epoch[0] for dealt in by_epoch), blame("NO_SET_EPOCH")
    pairs = [(a, b) for a in range(case.epochs) for b in range(a)]
    assert all(set(by_epoch[a][0]) != set(by_epoch[b][0]) for a, b in pairs), blame(
        because="In two epochs rank 0 has the same rows. Every epoch should deal all rows anew "
        "among the ranks."
    )


def test_reductions(student, seed):
    """Between two optimiser steps, the gradients are reduced over the ranks once."""
    case = for_reductions(seed)
    ranks = case.run(student)
    require_rows(ranks)
    for rank in ranks:
        steps = rank.per_step()
        assert len(steps) >= 3, blame(
            because="The optimiser made {steps} steps; with these settings it makes {wanted}.",
            steps=len(steps), wanted=case.steps,
        )  # fmt: skip
        later = steps[1:]  # what is exchanged once, at the beginning, is not counted
        if max(later) < PARAMETERS:
            began = steps[0] >= PARAMETERS  # DDP has sent the weights of rank 0
            assert not began or rank.count("wrapped"), blame("MODULE_BYPASS", numbers=max(later))
            assert False, blame(
                because="Between two steps of the optimiser no gradients pass between the ranks.",
                numbers=max(later),
            )
        assert min(later) >= PARAMETERS, blame(
            because="Before some steps of the optimiser no gradients pass between the ranks."
        )
        if len(steps) == case.steps and max(later) > MOST * PARAMETERS:
            code = "NO_SYNC_BACKWARD_ONLY" if rank.count("no_sync") else "SYNCS_EVERY_TIME"
            each_time = max(later) > (case.accumulate - 0.5) * PARAMETERS
            assert not each_time, blame(code, numbers=max(later), parameters=PARAMETERS)
            assert False, blame(
                because="Between two steps of the optimiser {numbers} numbers pass between the "
                "ranks; the model has {parameters} parameters.",
                numbers=max(later), parameters=PARAMETERS,
            )  # fmt: skip
        assert len(steps) == case.steps, blame(
            because="The optimiser made {steps} steps; with these settings it makes {wanted}.",
            steps=len(steps), wanted=case.steps,
        )  # fmt: skip


def test_weights(student, seed):
    """All ranks end with the weights of one process that makes the same steps on all rows."""
    case = for_weights(seed)
    ranks = case.run(student)
    batches = require_batches(case, ranks)
    right, _ = case.one_process(batches, lambda n: 1 / n)
    bank = OracleBank(
        right=right,
        wrong={"ACCUM_NOT_SCALED": case.one_process(batches, lambda n: 1.0)[0]},
        same=near,
    )
    fixed, _ = case.one_process(batches, lambda n: 1 / case.accumulate)
    for number, rank in enumerate(ranks):
        if bank.accepts(rank.weights):
            continue
        steps = rank.count("step")
        by_epoch = case.epochs * (case.micro // case.accumulate)
        all_along = case.epochs * case.micro // case.accumulate
        assert steps not in (by_epoch, all_along), blame(
            "LAST_GROUP", steps=steps, wanted=case.steps
        )
        assert steps == case.steps, blame(
            because="The optimiser made {steps} steps; with these settings it makes {wanted}.",
            steps=steps, wanted=case.steps,
        )  # fmt: skip
        assert not near(rank.weights, fixed), blame(
            because="The last group of an epoch has fewer micro-batches than accumulate, and its "
            "gradient comes out too small: it is to be their mean, too."
        )
        assert all(near(other.weights, ranks[0].weights) for other in ranks), blame(
            because="At the end, the ranks have different weights."
        )
        if bank.explain(rank.weights).code:
            assert False, bank.explain(rank.weights, rank=number)
        assert False, blame(
            because="The ranks agree, but a single process that makes the same steps on the same "
            "rows ends with other weights."
        )


def test_checkpoint(student, seed):
    """One rank writes one checkpoint, and a plain model can load the final weights from it."""
    case = for_checkpoint(seed)
    ranks = case.run(student)
    writers = [rank for rank in ranks if rank.wrote]
    assert writers, blame(because="No rank has written a checkpoint to cfg.checkpoint.")
    assert len(writers) == 1, blame("ALL_RANKS_SAVE", writers=len(writers))
    (rank,) = writers
    assert rank.problem == "", blame(
        because="What was written is not a file at cfg.checkpoint that holds a state dict: "
        "torch.load with weights_only=True should give names and tensors."
    )
    names = list(case.starts[0])
    wrapped = sorted(rank.names) == sorted(f"module.{name}" for name in names)
    assert not wrapped, blame("WRAPPED_CHECKPOINT")
    assert sorted(rank.names) == sorted(names), blame(
        because="The checkpoint has other names than the state dict of the plain model."
    )
    saved = [rank.tensors[rank.names.index(name)] for name in names]
    assert near(saved, rank.weights), blame(
        because="The checkpoint does not hold the final weights."
    )
    initial = any(near(saved, list(start.values())) for start in case.starts)
    assert not initial, blame(because="The weights in the checkpoint are those of the beginning.")


def test_report(student, seed):
    """The dict tells the number of optimiser steps, and the mean loss of each epoch."""
    case = for_report(seed)
    (rank,) = case.run(student)
    batches = require_batches(case, [rank])
    report = typed(rank.result, dict[str, Any])
    assert set(report) == {"steps", "losses"}, blame(
        because='The returned dict should have the keys "steps" and "losses".'
    )
    steps = typed(report["steps"], int)
    assert same(steps, case.steps), blame(
        because="The dict tells {steps} steps; with these settings there are {wanted}.",
        steps=steps, wanted=case.steps,
    )  # fmt: skip
    losses = typed(report["losses"], list[float])
    assert len(losses) == case.epochs, blame(
        because="For {epochs} epochs, losses has {entries} entries.",
        epochs=case.epochs, entries=len(losses),
    )  # fmt: skip
    # Steps of a wrong length are named elsewhere; they are not held against the report.
    either = [case.one_process(batches, scale)[1] for scale in (lambda n: 1 / n, lambda n: 1.0)]
    means = [np.array(each[0]).reshape(case.epochs, case.micro).mean(axis=1) for each in either]
    assert any(close(np.array(losses), mean, rel=TOLERANCE) for mean in means), blame(
        because="An entry of losses should be the mean of cfg.loss over the micro-batches of this "
        "rank in that epoch, as it was before any factor."
    )
