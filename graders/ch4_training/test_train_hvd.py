"""4.9 `train_hvd`: a training loop on several ranks does what one process does with all the rows.

Every rank is a real process and knows its own rows only, so parameters that come out right have
gone through the averages and broadcasts that the exercise is about. The truth is the training of
all ranks, replayed here in one process, in float64; each known mistake is replayed, too.
`hvd` is Horovod where it is installed, and the course's module over gloo otherwise: `versions` in
the record says which.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch as framework

from shardwork.grading import OracleBank, StudentFault, blame, close, once_per_seed, same
from shardwork.probes.modules import build
from shardwork.wire import Tensor

SIZES = [3, 4, 2]
TOLERANCE = 1e-9
Parameters = list[np.ndarray]


@dataclass
class Case:
    """One training job: what each rank has, and what all of them share."""

    weights: list[dict[str, np.ndarray]]  # of each rank's model, before anything is exchanged
    rows: list[tuple[np.ndarray, np.ndarray]]
    rows_val: list[tuple[np.ndarray, np.ndarray]]
    saved: dict[str, Any] | None  # the checkpoint that rank 0 has
    batch: int
    epochs: int
    warmup: int
    lr: float
    momentum: float

    @property
    def world(self) -> int:
        return len(self.rows)

    def job(self, rank: int) -> dict[str, Any]:
        (X, y), (X_val, y_val) = self.rows[rank], self.rows_val[rank]
        saved = self.saved
        if saved is not None:
            weights = {name: Tensor(w) for name, w in saved["weights"].items()}
            saved = saved | {"weights": weights, "momenta": [Tensor(m) for m in saved["momenta"]]}
        return {
            "sizes": SIZES,
            "weights": {name: Tensor(w) for name, w in self.weights[rank].items()},
            "X": Tensor(X), "y": Tensor(y), "X_val": Tensor(X_val), "y_val": Tensor(y_val),
            "batch": self.batch, "epochs": self.epochs, "warmup": self.warmup,
            "lr": self.lr, "momentum": self.momentum,
            "resume": saved if rank == 0 else None,
        }  # fmt: skip


def draw_weights(rng) -> dict[str, np.ndarray]:
    inputs, hidden, outputs = SIZES
    shapes = {"first.weight": (hidden, inputs), "first.bias": (hidden,),
              "second.weight": (outputs, hidden), "second.bias": (outputs,)}  # fmt: skip
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


def draw(rng, world: int, *, warmup: int, epochs: int = 2, resumed: bool = False) -> Case:
    """Equally many rows to learn from on every rank, and unequally many to validate on."""
    batch = int(rng.integers(3, 5))
    n = 2 * batch + int(rng.integers(1, batch))  # three steps an epoch, the last one smaller
    some = [int(r) for r in rng.permutation([2, 5, 9, 14])[:world]]

    def rows(n: int) -> tuple[np.ndarray, np.ndarray]:
        return rng.normal(size=(n, SIZES[0])), rng.normal(size=(n, SIZES[2]))

    saved = None
    if resumed:
        weights = draw_weights(rng)
        momenta = [rng.normal(size=w.shape) for w in weights.values()]
        saved = {"weights": weights, "momenta": momenta, "lr": 0.5, "epoch": 1}
    return Case(
        [draw_weights(rng) for _ in range(world)],
        [rows(n) for _ in range(world)],
        [rows(r) for r in some],
        saved, batch, epochs, warmup,
        lr=float(rng.uniform(0.03, 0.06)), momentum=float(rng.uniform(0.7, 0.9)),
    )  # fmt: skip


class Replay:
    """The training of all ranks in this process, right or with the habit of a known mistake."""

    def __init__(self, case: Case, habit: str = "") -> None:
        self.case, self.habit = case, habit
        self.models = [build("mlp", SIZES, weights) for weights in case.weights]
        self.optimizers = [
            framework.optim.SGD(model.parameters(), lr=case.lr, momentum=case.momentum)
            for model in self.models
        ]
        if case.saved is not None:
            self.models[0] = build("mlp", SIZES, case.saved["weights"])
            self.optimizers[0] = framework.optim.SGD(
                self.models[0].parameters(), lr=case.lr, momentum=case.momentum
            )
            if habit != "STATE_LOST":
                self.fill(self.optimizers[0])
        if habit not in ("NO_PARAM_BROADCAST", "BROADCAST_AFTER_STEP"):
            self.copy_parameters()
        if case.saved is not None and habit not in ("NO_STATE_BROADCAST", "STATE_LOST"):
            for optimizer in self.optimizers[1:]:
                self.fill(optimizer)
        self.train()

    def fill(self, optimizer: Any) -> None:
        """Give an optimiser the momenta of the checkpoint."""
        parameters = optimizer.param_groups[0]["params"]
        for parameter, momentum in zip(parameters, self.case.saved["momenta"], strict=True):
            optimizer.state[parameter]["momentum_buffer"] = framework.tensor(momentum)

    def copy_parameters(self) -> None:
        for model in self.models[1:]:
            model.load_state_dict(self.models[0].state_dict())

    def rate(self, step: int) -> float:
        case, habit = self.case, self.habit
        if habit == "LR_UNSCALED":
            return case.lr
        ramp = min(1.0, step / case.warmup) if case.warmup and habit != "NO_WARMUP" else 1.0
        return case.lr * (1 + (case.world - 1) * ramp)

    def train(self) -> None:
        case = self.case
        n = len(case.rows[0][0])
        first = 0 if case.saved is None else case.saved["epoch"]
        step = 0 if self.habit == "WARMUP_AGAIN" else first * -(-n // case.batch)
        begun = False
        for _ in range(first, case.epochs):
            for at in range(0, n, case.batch):
                self.make_step(at, self.rate(step))
                if self.habit == "BROADCAST_AFTER_STEP" and not begun:
                    self.copy_parameters()
                begun, step = True, step + 1

    def make_step(self, at: int, rate: float) -> None:
        for model, optimizer, (X, y) in zip(
            self.models, self.optimizers, self.case.rows, strict=True
        ):
            optimizer.zero_grad()
            part = slice(at, at + self.case.batch)
            found = model(framework.tensor(X[part]))
            framework.nn.functional.mse_loss(found, framework.tensor(y[part])).backward()
        if self.habit != "LOCAL_GRADIENTS":
            for same_place in zip(*(model.parameters() for model in self.models), strict=True):
                mean = sum(p.grad for p in same_place) / self.case.world
                for parameter in same_place:
                    parameter.grad = mean.clone()
        for optimizer in self.optimizers:
            optimizer.param_groups[0]["lr"] = rate
            optimizer.step()

    def parameters(self, rank: int) -> Parameters:
        return [p.detach().numpy() for p in self.models[rank].parameters()]


class Truth:
    """A case with its bank of oracles for every rank, made before anybody is judged."""

    def __init__(self, case: Case, *habits: str) -> None:
        self.case = case
        right, wrong = Replay(case), {habit: Replay(case, habit) for habit in habits}
        self.right = right.parameters(0)
        self.banks = [
            OracleBank(
                right.parameters(rank),
                {habit: replay.parameters(rank) for habit, replay in wrong.items()},
                lambda a, b: close(a, b, rel=TOLERANCE),
            )
            for rank in range(case.world)
        ]


ALWAYS = ("NO_PARAM_BROADCAST", "BROADCAST_AFTER_STEP", "LOCAL_GRADIENTS", "LR_UNSCALED")


@once_per_seed
def fresh(rng) -> Truth:
    return Truth(draw(rng, 3, warmup=0), *ALWAYS)


@once_per_seed
def warming(rng) -> Truth:
    return Truth(draw(rng, 4, warmup=4), *ALWAYS, "NO_WARMUP")


@once_per_seed
def resumed(rng) -> Truth:
    case = draw(rng, 2, warmup=5, epochs=3, resumed=True)
    return Truth(case, *ALWAYS, "NO_WARMUP", "NO_STATE_BROADCAST", "STATE_LOST", "WARMUP_AGAIN")


@once_per_seed
def alone(rng) -> Truth:
    return Truth(draw(rng, 1, warmup=2, epochs=3, resumed=True))


_CALLED = re.compile(r"rank \d+ called (\w+) \(shape")
"""As `shardwork.lab.hvd_gloo` says it. Horovod waits instead, and then there is no name for it."""


def trained(student, case: Case) -> list[tuple[Parameters, dict[str, float]]]:
    """Run the job; return parameters and what the function returned, by rank."""
    try:
        return student.ranks(
            "train_hvd",
            [[case.job(rank)] for rank in range(case.world)],
            as_=tuple[list[np.ndarray], dict[str, float]],
            on="gloo",
            driver="torch.hvd.train",
        )
    except StudentFault as fault:
        code = out_of_step(fault.detail, case)
        assert code is None, blame(code)
        raise


def out_of_step(detail: str, case: Case) -> str | None:
    """Name why the ranks fell out of step, as far as the calls that met each other tell."""
    called = set(_CALLED.findall(detail))
    if len(called) > 1 and called & {"broadcast", "broadcast_object"}:
        return "BROADCAST_BY_ROOT_ONLY"
    if case.saved is not None and called and called <= {"allreduce", "allgather"}:
        return "EPOCH_NOT_SHARED"
    return None


def require_parameters(student, truth: Truth) -> None:
    for rank, (found, _) in enumerate(trained(student, truth.case)):
        bank = truth.banks[rank]
        assert [p.shape for p in found] == [p.shape for p in truth.right], blame(
            because="Your code has changed the shape of a parameter."
        )
        if bank.accepts(found):
            continue
        code = bank.explain(found).code
        assert False, blame(
            code, rank=rank, world=truth.case.world,
            because="" if code
            else "With {world} ranks, the parameters of rank {rank} are not those that one process "
            "gets from all the rows.",
        )  # fmt: skip


def test_fresh_start(student, seed):
    """Ranks that start from different weights train as one process with all the rows."""
    require_parameters(student, fresh(seed))


def test_learning_rate(student, seed):
    """The learning rate rises from that of one process to that of all ranks, step by step."""
    require_parameters(student, warming(seed))


def test_resume(student, seed):
    """A checkpoint that only rank 0 has is resumed by all ranks."""
    require_parameters(student, resumed(seed))


def test_one_rank(student, seed):
    """One rank alone trains as without Horovod, from a checkpoint, too."""
    truth = alone(seed)
    require_parameters(student, truth)


def test_metric(student, seed):
    """Every rank returns the mean loss over the validation rows of all ranks."""
    case = fresh(seed).case
    results = trained(student, case)
    own, counts = [], []
    for (parameters, returned), (X, y) in zip(results, case.rows_val, strict=True):
        assert list(returned) == ["loss"], blame(
            because="What the function returns is not a dict with the key loss, and no other."
        )
        own.append(loss_of(parameters, X, y))
        counts.append(len(X))
    bank = OracleBank(
        float(np.average(own, weights=counts)),
        {"MEAN_OF_MEANS": float(np.mean(own)), "RANK0_METRIC": own[0]},
        lambda a, b: same(a, b, rel=TOLERANCE),
    )
    found = [returned["loss"] for _, returned in results]
    if all(bank.accepts(value) for value in found):
        return
    codes = {bank.explain(value).code for value in found}
    local = all(same(value, mine, rel=TOLERANCE) for value, mine in zip(found, own, strict=True))
    code = "RANK0_METRIC" if local else codes.pop() if len(codes) == 1 else None
    assert False, blame(
        code, because="" if code
        else "The loss that is returned is not the mean over the validation rows of all ranks.",
    )  # fmt: skip


def loss_of(parameters: Parameters, X: np.ndarray, y: np.ndarray) -> float:
    """The mean squared error of the network with these parameters."""
    first, first_bias, second, second_bias = parameters
    found = np.tanh(X @ first.T + first_bias) @ second.T + second_bias
    return float(((found - y) ** 2).mean())
