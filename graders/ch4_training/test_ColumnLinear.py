"""4.7 `ColumnLinear` and `RowLinear`: two layers cut over the ranks, joined by one sum each way.

The network is the judge's: which collectives are made in the forward pass of which layer and in the
backward pass, and what they add up, is what the judge has seen. Outputs, gradients and shapes come
out of the ranks and are claims; they are held against the layers in one piece, in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch as framework

from shardwork.grading import (
    GLOO_COMM,
    Comm,
    Event,
    Instrument,
    OracleBank,
    StudentFault,
    blame,
    close,
    once_per_seed,
)
from shardwork.wire import Tensor

STEP = "torch.parallel.step"
COLLECTIVES = {"all_reduce", "all_gather", "broadcast"}
TOLERANCE = 1e-10
Array = np.ndarray
Found = dict[str, Array | None]


def same(a: Array, b: Array) -> bool:
    return close(a, b, rel=TOLERANCE)


class Marks(Instrument):
    """Where a rank is, in one list with what it asks of the network."""

    def __init__(self, events: list[Any]) -> None:
        self.events = events

    def call(self, rank: int, name: str) -> None:
        self.events.append((rank, name))


class Case:
    """Whole weights of one block or more, input and upstream gradient, and what is right.

    sizes: features of the input, in between, and of the output. world: number of ranks.
    """

    def __init__(self, rng, world: int, sizes: tuple[int, int, int], blocks: int = 1) -> None:
        inputs, hidden, outputs = sizes
        self.world, self.sizes, self.residual = world, sizes, blocks > 1
        shapes = [(hidden, inputs), (hidden,), (outputs, hidden), (outputs,)]
        self.weights = [[rng.normal(size=shape) for shape in shapes] for _ in range(blocks)]
        self.rows = int(rng.integers(3, 6))
        self.x = rng.normal(size=(self.rows, inputs))
        self.upstream = rng.normal(size=(self.rows, outputs))
        self.right = self.dense()

    def dense(self) -> dict[str, Array]:
        """Output and gradients of the layers in one piece, by the names that a rank gives them."""
        weights = [[leaf(w) for w in block] for block in self.weights]
        start = x = leaf(self.x)
        for a, b, c, d in weights:
            y = framework.nn.functional.gelu(x @ a.T + b) @ c.T + d
            x = x + y if self.residual else y
        x.backward(framework.from_numpy(self.upstream))
        found = {"y": x.detach().numpy(), "x.grad": start.grad.numpy()}
        names = ("column.weight", "column.bias", "row.weight", "row.bias")
        for number, block in enumerate(weights):
            for name, weight in zip(names, block, strict=True):
                found[f"{number}.{name}"] = weight.detach().numpy()
                found[f"{number}.{name}.grad"] = weight.grad.numpy()
        return found

    def shard(self, name: str, rank: int) -> Array:
        """What is right on this rank, under this name."""
        whole = self.right[name]
        if ".column." in name:
            return np.array_split(whole, self.world)[rank]
        if ".row.weight" in name:
            return np.array_split(whole, self.world, axis=1)[rank]
        return whole

    def partial(self, rank: int) -> tuple[Array, Array]:
        """Of one block: what this rank alone gives to the output, and to the input's gradient."""
        (a, b), (c,) = (
            (np.array_split(w, self.world)[rank] for w in self.weights[0][:2]),
            (np.array_split(self.weights[0][2], self.world, axis=1)[rank],),
        )
        x = leaf(self.x)
        y = (
            framework.nn.functional.gelu(x @ framework.from_numpy(a).T + framework.from_numpy(b))
            @ framework.from_numpy(c).T
        )
        y.backward(framework.from_numpy(self.upstream))
        return y.detach().numpy(), x.grad.numpy()

    def output_bank(self, rank: int) -> OracleBank[Array]:
        bias = self.weights[0][3]
        wrong = {}
        if self.world > 1:
            wrong["BIAS_TIMES_P"] = self.right["y"] + (self.world - 1) * bias
            wrong["NO_FORWARD_REDUCE"] = self.partial(rank)[0] + bias
        return OracleBank(self.right["y"], wrong, same)

    def input_bank(self, rank: int) -> OracleBank[Array]:
        wrong = {}
        if self.world > 1:
            wrong["NO_BACKWARD_REDUCE"] = self.partial(rank)[1]
            wrong["GRAD_TIMES_P"] = self.world * self.right["x.grad"]
        return OracleBank(self.right["x.grad"], wrong, same)


def leaf(array: Array) -> framework.Tensor:
    return framework.from_numpy(array.copy()).requires_grad_()


class Run:
    """The layers of one case, run once on all ranks."""

    def __init__(
        self, student, case: Case, *, grad: bool = True, needs_grad: bool = True, gloo: bool = False
    ) -> None:
        self.case = case
        events: list[Any] = []
        self.comm = Comm(allowed=COLLECTIVES, events=events)
        mark = None if gloo else Marks(events)  # no instrument reaches another process
        weights = [[Tensor(w) for w in block] for block in case.weights]
        arguments = [
            student.function("RowLinear"), GLOO_COMM if gloo else self.comm, mark, weights,
            Tensor(case.x), Tensor(case.upstream) if grad else None, case.residual, needs_grad,
        ]  # fmt: skip
        try:
            self.ranks: list[Found] = student.ranks(
                "ColumnLinear", [arguments] * case.world, as_=dict[str, Array | None], driver=STEP,
                on="gloo" if gloo else "threads",
            )  # fmt: skip
        except StudentFault as fault:
            step = self.comm.mismatch is None or self.comm.mismatch not in fault.detail
            assert step, blame(because="The ranks do not make the same collectives.")
            raise

    # ---- what came out ---------------------------------------------------------------------

    def get(self, rank: int, name: str) -> Array | None:
        return self.ranks[rank].get(name)

    def require_output(self) -> None:
        for rank in range(self.case.world):
            y = self.get(rank, "y")
            assert y is not None and y.shape == self.case.right["y"].shape, blame(
                because="On {ranks} ranks, the output has another shape than that of the layers "
                "in one piece.", ranks=self.case.world,
            )  # fmt: skip
            bank = self.case.output_bank(rank)
            if bank.accepts(y):
                continue
            code = bank.explain(y).code
            assert False, blame(
                code,
                because="" if code
                else "On {ranks} ranks, the output of rank {rank} is not that of the layers in "
                "one piece.", ranks=self.case.world, rank=rank,
            )  # fmt: skip

    def require_gradient(self, name: str, wrong: dict[str, float]) -> None:
        """Assert one gradient of the parameters; `wrong` are factors of known mistakes."""
        case = self.case
        for rank in range(case.world):
            found, right = self.get(rank, f"0.{name}.grad"), case.shard(f"0.{name}.grad", rank)
            assert found is not None, blame(
                "CUTS_GRAPH" if self.graph_is_cut(rank) else None,
                because="" if self.graph_is_cut(rank)
                else "On {ranks} ranks, a parameter has no gradient on rank {rank}.",
                ranks=case.world, rank=rank, name=name,
            )  # fmt: skip
            assert found.shape == right.shape, blame(
                because="On {ranks} ranks, a gradient has not the shape of its shard on rank "
                "{rank}.",
                ranks=case.world, rank=rank, name=name,
            )  # fmt: skip
            factors = wrong if case.world > 1 else {}
            bank = OracleBank(right, {code: f * right for code, f in factors.items()}, same)
            if bank.accepts(found):
                continue
            code = bank.explain(found).code
            assert False, blame(
                code,
                because="" if code
                else "On {ranks} ranks, the gradient of a parameter on rank {rank} is not the "
                "shard of the gradient in one piece.", ranks=case.world, rank=rank, name=name,
            )  # fmt: skip

    def graph_is_cut(self, rank: int) -> bool:
        """Whether the gradient ends between the output and the weights of RowLinear."""
        names = ("x.grad", "0.row.weight.grad", "0.column.weight.grad")
        return all(self.get(rank, name) is None for name in names)

    # ---- what the judge has seen -------------------------------------------------------------

    def steps(self, rank: int) -> dict[str, list[Event]]:
        """The collectives of one rank by where it was: `build`, `column`, `row`, `backward`."""
        found: dict[str, list[Event]] = {"build": [], "column": [], "row": [], "backward": []}
        waiting: list[Event] = []
        after = {"built": "build"}
        for event in self.comm.events:
            if isinstance(event, Event):
                if event.rank == rank and event.op in COLLECTIVES:
                    waiting.append(event)
            elif event[0] == rank:
                found[after.get(event[1], event[1])] += waiting
                waiting = []
        return found


@once_per_seed
def cases(rng) -> list[Case]:
    """Two and three ranks; the features in between are no multiple of three."""
    even = (int(rng.integers(3, 7)), 2 * int(rng.integers(3, 6)), int(rng.integers(3, 7)))
    hidden = 3 * int(rng.integers(2, 5)) + 1
    uneven = (int(rng.integers(3, 7)), hidden, int(rng.integers(3, 7)))
    return [Case(rng, 2, even), Case(rng, 3, uneven)]


@once_per_seed
def alone(rng) -> Case:
    return Case(rng, 1, (4, 5, 3))


@once_per_seed
def network(rng) -> Case:
    """Two blocks with residual connections on four ranks, and ten features between."""
    return Case(rng, 4, (5, 10, 5), blocks=2)


def test_forward(student, seed):
    """The output of every rank is that of the two layers in one piece; one rank works, too."""
    for case in [*cases(seed), alone(seed)]:
        Run(student, case).require_output()


def test_shards(student, seed):
    """Every rank keeps its shard of the weights, and ColumnLinear returns the shard's features."""
    for case in cases(seed):
        run = Run(student, case)
        for rank, found in enumerate(run.ranks):
            where = {"ranks": case.world, "rank": rank}
            for name in ("column.weight", "column.bias", "row.weight", "row.bias"):
                held, right = found.get(f"0.{name}"), case.shard(f"0.{name}", rank)
                assert held is not None, blame(
                    because="A layer lacks its parameter weight or bias.", name=name, **where
                )
                whole = name.endswith("weight") and held.shape == case.right[f"0.{name}"].shape
                assert held.shape == right.shape, blame(
                    "WHOLE_WEIGHTS" if whole else None,
                    because="" if whole
                    else "On {ranks} ranks, a parameter has not the shape of its shard on rank "
                    "{rank}.", name=name, **where,
                )  # fmt: skip
                assert same(held, right), blame(
                    because="On {ranks} ranks, the values of a parameter are not those of the "
                    "shard of rank {rank}.", name=name, **where,
                )  # fmt: skip
            kept = sum(v.size for k, v in found.items() if kept_in_layer(k) and v is not None)
            least = sum(case.shard(k, rank).size for k in case.right if kept_in_layer(k))
            assert kept <= least, blame(
                "WHOLE_WEIGHTS" if kept >= sum(w.size for w in case.weights[0][::2]) else None,
                because="" if kept >= sum(w.size for w in case.weights[0][::2])
                else "A layer has more parameters or buffers than weight and bias.", **where,
            )  # fmt: skip
            hidden = found.get("0.hidden")
            width = case.shard("0.column.bias", rank).size
            gathered = bool(run.steps(rank)["column"])
            assert hidden is not None and hidden.shape == (case.rows, width), blame(
                "GATHER_BETWEEN" if gathered else None,
                because="" if gathered
                else "On {ranks} ranks, ColumnLinear returned another shape than that of the shard "
                "of rank {rank}.", **where,
            )  # fmt: skip


def kept_in_layer(name: str) -> bool:
    return name.startswith("0.") and not name.endswith((".grad", "hidden"))


def test_weight_gradients(student, seed):
    """The gradient of every parameter is the shard of its gradient in one piece."""
    for case in cases(seed):
        run = Run(student, case)
        times = {"GRAD_TIMES_P": float(case.world)}
        run.require_gradient("row.weight", times)
        run.require_gradient("column.weight", times)
        run.require_gradient("column.bias", times)
        over = {"BIAS_OVER_P": 1.0 / case.world}
        run.require_gradient("row.bias", over)


def test_input_gradient(student, seed):
    """Every rank gets the whole gradient of the input, which is the same on all of them."""
    for case in cases(seed):
        run = Run(student, case)
        for rank in range(case.world):
            found, bank = run.get(rank, "x.grad"), case.input_bank(rank)
            assert found is not None, blame(
                "CUTS_GRAPH" if run.graph_is_cut(rank) else None,
                because="" if run.graph_is_cut(rank)
                else "On {ranks} ranks, the input has no gradient on rank {rank}.",
                ranks=case.world, rank=rank,
            )  # fmt: skip
            if found.shape == case.x.shape and bank.accepts(found):
                continue
            code = bank.explain(found).code if found.shape == case.x.shape else None
            assert False, blame(
                code,
                because="" if code
                else "On {ranks} ranks, the gradient of the input is not right on rank {rank}.",
                ranks=case.world, rank=rank,
            )  # fmt: skip


def test_collectives(student, seed):
    """One all-reduce in the forward pass, in RowLinear, and one in the backward pass; no more."""
    for case in cases(seed):
        run = Run(student, case)
        inputs, _, outputs = case.sizes
        for rank in range(case.world):
            steps, where = run.steps(rank), {"ranks": case.world, "rank": rank}
            assert not steps["build"], blame(
                because="A layer communicates while it is built.", **where
            )
            assert not steps["column"], blame("GATHER_BETWEEN", **where)
            forward, backward = steps["row"], steps["backward"]
            assert at_most_one_sum(forward), blame(
                because="On {ranks} ranks, {made} collectives were made in the forward pass of "
                "RowLinear; one all-reduce is enough.", made=len(forward), **where,
            )  # fmt: skip
            code = times_p(run, rank)
            assert at_most_one_sum(backward), blame(
                code,
                because="" if code
                else "On {ranks} ranks, {made} collectives were made in the backward pass; one "
                "all-reduce is enough.", made=len(backward), **where,
            )  # fmt: skip
            most = [(forward, case.rows * outputs), (backward, case.rows * inputs)]
            assert all(e.elements <= size for made, size in most for e in made), blame(
                because="On {ranks} ranks, an all-reduce has more elements than it should.", **where
            )
        run.require_output()
        require_exchange(run)


def at_most_one_sum(made: list[Event]) -> bool:
    return len(made) <= 1 and all(event.op == "all_reduce" for event in made)


def times_p(run: Run, rank: int) -> str | None:
    found = run.get(rank, "0.row.weight.grad")
    right = run.case.shard("0.row.weight.grad", rank)
    bad = found is not None and found.shape == right.shape and same(found, run.case.world * right)
    return "GRAD_TIMES_P" if bad else None


def require_exchange(run: Run) -> None:
    """Assert that the output was added up on the network: what came out right is no proof of it."""
    bias = run.case.weights[0][3]
    right = [np.sort(y, axis=None) for y in (run.case.right["y"], run.case.right["y"] - bias)]
    totals = [np.sort(done.total, axis=None) for done in run.comm.rounds]
    exchanged = any(t.shape == r.shape and same(t, r) for t in totals for r in right)
    assert exchanged, blame(
        because="The output is right, but no all-reduce has added it up from the parts of the "
        "ranks."
    )


def test_network(student, seed):
    """Two blocks with residual connections on four ranks are right, also without gradients."""
    case = network(seed)
    for grad, needs_grad in ((True, True), (True, False), (False, False)):
        run = Run(student, case, grad=grad, needs_grad=needs_grad)
        for rank, found in enumerate(run.ranks):
            names = ["y"] if not grad else [k for k in case.right if k.endswith((".grad", "y"))]
            if not needs_grad:
                names = [name for name in names if name != "x.grad"]
            for name in names:
                value, right = found.get(name), case.shard(name, rank)
                is_output = name == "y"
                right_here = value is not None and value.shape == right.shape and same(value, right)
                assert right_here, blame(
                    because="In two blocks on four ranks, the output of rank {rank} is not that of "
                    "the layers in one piece." if is_output
                    else "In two blocks on four ranks, a gradient on rank {rank} is not right.",
                    rank=rank, name=name,
                )  # fmt: skip
            made = {step: len(events) for step, events in run.steps(rank).items()}
            most = {"build": 0, "column": 0, "row": 2, "backward": 2 if grad else 0}
            assert all(made[step] <= most[step] for step in most), blame(
                because="Two blocks made more collectives than one all-reduce each in either pass.",
                rank=rank, **made,
            )  # fmt: skip


def test_gloo(student, seed):
    """The same layers give the same output and gradients on two real processes with gloo."""
    case = cases(seed)[0]
    Run(student, case)  # ranks out of step are not let loose on processes
    run = Run(student, case, gloo=True)
    for rank, found in enumerate(run.ranks):
        for name in [k for k in case.right if k.endswith((".grad", "y"))]:
            value, right = found.get(name), case.shard(name, rank)
            assert value is not None and value.shape == right.shape and same(value, right), blame(
                because="On two processes with gloo, an output or gradient of rank {rank} is not "
                "that of the layers in one piece.", rank=rank, name=name,
            )  # fmt: skip
