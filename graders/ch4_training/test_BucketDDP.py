"""`BucketDDP`: gradients that travel in buckets while the backward pass goes on.

The network is an instrument of the judge, and so are the marks that the layers of the model set
when the backward pass comes to them. Both write into one list, so overlap is an order of events:
which all-reduces had begun when the pass came to a layer. No time is measured. A mark answers with
a random factor by which the gradient is multiplied on its way back, so that nobody has the right
gradients of a layer who has not set its mark before. The truth is autograd in one process: the mean
of the gradients that each shard gives alone, with the same factors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch as framework

from shardwork.grading import (
    GLOO_COMM,
    OracleBank,
    StudentFault,
    blame,
    close,
    once_per_seed,
)
from shardwork.judge.torch.bucket import Marks, Pass, WatchedComm, passes
from shardwork.probes.torch.bucket import Stack, build, gradients
from shardwork.wire import Tensor

RATE = 0.05
ROWS = 5
TOLERANCE = {"float64": 1e-10, "float32": 1e-4}
"""Norm-relative. Sums in another order differ by 1e-16 and 1e-7 of a gradient of this size."""

Numbers = np.ndarray
Gradient = list[Numbers]
Batch = tuple[Numbers, Numbers]


def filled(sizes: list[int], cap: int) -> list[list[int]]:
    """Fill buckets from the last parameter to the first; return places in `parameters()`."""
    buckets: list[list[int]] = []
    room = 0
    for place in reversed(range(len(sizes))):
        if not buckets or sizes[place] > room:
            buckets.append([])
            room = cap
        buckets[-1].append(place)
        room -= sizes[place]
    return buckets


class Case:
    """A model, a cap, first weights and batches of all ranks, and what is right for them."""

    def __init__(self, rng, spec: dict[str, Any], world: int, *, cap: int, steps=1, unlike=False,
                 without: dict[int, set[int]] | None = None, marked=True) -> None:  # fmt: skip
        """`without`: for a rank, the columns in which no row is positive (see `Stack`).

        `marked`: what goes back is multiplied by random factors.
        """
        self.spec, self.world, self.cap = spec, world, cap
        self.dtype = spec.get("dtype", "float64")
        model = Stack(**spec)
        shapes = [tuple(p.shape) for p in model.parameters()]
        self.starts = [self.draw(rng, shapes)] * world
        if unlike:
            self.starts = [self.draw(rng, shapes) for _ in range(world)]
        self.batches = [
            [self.batch(rng, (without or {}).get(rank, set())) for _ in range(steps)]
            for rank in range(world)
        ]
        self.layers = len(spec["widths"]) - 1
        self.factors = rng.uniform(0.5, 1.5, size=(world, steps, self.layers)) if marked else None
        wanted = [p for p in model.parameters() if p.requires_grad]
        self.sizes = [p.numel() for p in wanted]
        self.itemsize = wanted[0].element_size()
        names = {p: int(name.split(".")[1]) for name, p in model.named_parameters()}
        self.layer = [names[p] for p in wanted]
        """The layer of each trainable parameter; of a tied one, the first."""
        self.buckets = filled([n * self.itemsize for n in self.sizes], cap)
        self.steps = self.train()

    def draw(self, rng, shapes) -> list[Numbers]:
        return [(rng.normal(size=s) / np.sqrt(s[-1])).astype(self.dtype) for s in shapes]

    def batch(self, rng, without: set[int]) -> Batch:
        widths = self.spec["widths"]
        rows = rng.normal(size=(ROWS, widths[0]))
        for _, column in self.spec.get("gates", []):
            rows[:, column] = np.abs(rows[:, column]) * (-1 if column in without else 1)
        targets = rng.normal(size=(ROWS, widths[-1])) * 3
        return rows.astype(self.dtype), targets.astype(self.dtype)

    def factor(self, rank: int, step: int, layer: int) -> float:
        """Return what the mark of a layer answers; 1 beyond what is planned."""
        known = self.factors is not None and 0 <= step < len(self.batches[rank])
        return float(self.factors[rank, step, layer]) if known and 0 <= layer < self.layers else 1.0

    def local(self, weights: list[Numbers], rank: int, step: int) -> Gradient:
        """Return what one shard gives alone; zeros where a parameter took no part."""
        model = build(self.spec, weights, lambda layer: self.factor(rank, step, layer))
        rows, targets = (framework.from_numpy(part) for part in self.batches[rank][step])
        framework.nn.functional.mse_loss(model(rows), targets).backward()
        wanted = [p for p in model.parameters() if p.requires_grad]
        return [
            g.numpy() if g.numel() else np.zeros(tuple(p.shape), self.dtype)
            for g, p in zip(gradients(model), wanted, strict=True)
        ]

    def train(self) -> list[dict[str, Any]]:
        """Make the steps in one process; return the local gradients and their mean, by step."""
        done = []
        weights = self.starts[0]
        wanted = [p.requires_grad for p in Stack(**self.spec).parameters()]
        for step in range(len(self.batches[0])):
            local = [self.local(weights, r, step) for r in range(self.world)]
            mean = [sum(parts) / self.world for parts in zip(*local, strict=True)]
            done.append({"local": local, "mean": mean})
            moving = iter(mean)
            weights = [
                w - RATE * next(moving) if moves else w
                for w, moves in zip(weights, wanted, strict=True)
            ]
        return done

    def same(self, a: Gradient, b: Gradient) -> bool:
        return close(a, b, rel=TOLERANCE[self.dtype], abs=1e-30)

    def bank(self, step: int) -> OracleBank[Gradient]:
        mean = self.steps[step]["mean"]
        total = {"SUM_NOT_MEAN": [g * self.world for g in mean]} if self.world > 1 else {}
        return OracleBank(mean, total, self.same)

    def carried(self, array: Numbers, rank: int, step: int) -> set[int]:
        """Return the places of the parameters whose gradients on this rank are in an array.

        They may have been divided by the number of ranks before. Zeros are in no array.
        """
        found = set()
        for place, gradient in enumerate(self.steps[step]["local"][rank]):
            for scaled in (gradient, gradient / self.world):
                far = np.abs(array.ravel()[:, None] - scaled.ravel()).min(axis=0)
                if scaled.any() and far.max() <= TOLERANCE[self.dtype] * np.abs(scaled).max():
                    found.add(place)
        return found


class Run:
    """One training on all ranks of a case, with what the judge saw of it."""

    def __init__(self, student, case: Case, *, on: str = "threads") -> None:
        self.case = case
        self.comm = WatchedComm()
        marks = Marks(self.comm.events, case.factor)
        self.fault: StudentFault | None = None
        threads = on == "threads"
        per_rank = [
            [
                self.comm if threads else GLOO_COMM,
                marks if threads else None,
                case.spec,
                [Tensor(w) for w in case.starts[rank]],
                [[Tensor(part) for part in batch] for batch in case.batches[rank]],
                case.cap,
                RATE,
            ]
            for rank in range(case.world)
        ]
        try:
            self.claims = student.ranks(
                "BucketDDP", per_rank, as_=list[Gradient], on=on, driver="torch.bucket.train"
            )
        except StudentFault as fault:
            # A rank that leaves out a collective takes the others with it. Whoever raised by
            # itself did so before, and what it raised says more.
            if self.comm.mismatch is None or self.comm.mismatch not in fault.detail:
                raise
            self.fault = fault
        self.passes = [passes(self.comm.events, rank) for rank in range(case.world)]

    def require_in_step(self) -> None:
        """Assert that the ranks made the same collectives."""
        if self.fault is None:
            return
        later = all(p and p[0].is_done for p in self.passes)
        assert not later, blame("STATE_NOT_RESET")
        assert False, blame(because="The ranks did not make the same collectives: {what}.",
                            what=self.comm.mismatch or "")  # fmt: skip

    def wrong_in(self, step: int) -> int | None:
        """Return a rank whose gradient after a step is not the mean, or None."""
        bank = self.case.bank(step)
        for rank in range(self.case.world):
            if not bank.accepts(self.claims[rank][step + 1]):
                return rank
        return None

    def require_values(self) -> None:
        """Assert that every rank has the mean gradient after every step, and say why if not."""
        self.require_in_step()
        for step in range(len(self.case.steps)):
            rank = self.wrong_in(step)
            if rank is None:
                continue
            self.require_form(rank, step)
            seen = self.passes[rank][step] if step < len(self.passes[rank]) else None
            forgotten = seen is not None and any(
                e.number not in seen.waited() and (rank, e.number) not in self.comm.blocking
                for e in seen.begun
            )
            assert not forgotten, blame("NOT_WAITED", rank=rank, step=step)
            assert step == 0, blame("STATE_NOT_RESET", rank=rank, step=step)
            self.require_broadcast()
            code = self.case.bank(step).explain(self.claims[rank][step + 1]).code
            assert code is None, blame(code, rank=rank)
            assert False, blame(
                because="After finish, the gradients of rank {rank} are not the mean of the "
                "gradients of all ranks.", rank=rank,
            )  # fmt: skip

    def require_form(self, rank: int, step: int) -> None:
        found, right = self.claims[rank][step + 1], self.case.steps[step]["mean"]
        lacking = any(f.size == 0 for f in found)
        assert not lacking, blame(
            because="After finish, .grad of some parameter of rank {rank} is None.", rank=rank
        )
        assert [f.shape for f in found] == [r.shape for r in right], blame(
            because="After finish, .grad of some parameter of rank {rank} has another shape than "
            "the parameter.", rank=rank,
        )  # fmt: skip
        assert all(f.dtype == self.case.dtype for f in found), blame(
            because="After finish, .grad of some parameter of rank {rank} has another type than "
            "the parameter.", rank=rank,
        )  # fmt: skip

    def require_broadcast(self) -> None:
        """Assert that all ranks started from the parameters of rank 0, frozen ones among them."""
        for rank, claim in enumerate(self.claims):
            assert self.case.same(claim[0], self.case.starts[0]), blame(
                because="When BucketDDP has been made, the parameters of rank {rank} are not those "
                "of rank 0.", rank=rank,
            )  # fmt: skip

    def all_passes(self) -> list[tuple[int, Pass]]:
        return [(step, one) for rank in self.passes for step, one in enumerate(rank)]


@once_per_seed
def plain(rng) -> list[Case]:
    """Worlds of one to four ranks with unlike first weights."""
    cases = []
    for world in (1, 2, int(rng.integers(3, 5))):
        widths = [int(w) for w in rng.integers(3, 8, size=4)]
        cases.append(Case(rng, {"widths": widths}, world, cap=300, unlike=True))
    return cases


@once_per_seed
def small_caps(rng) -> list[Case]:
    """Caps with many buckets, of several parameters and, in the second case, of one too large.

    Eight numbers fit where eight bytes are allowed if somebody mistakes one for the other: there
    are so many buckets that this does not look like no cap at all.
    """
    cases = []
    while len(cases) < 2:
        dtype = ("float32", "float64")[len(cases)]
        widths = [int(w) for w in rng.integers(3, 7, size=19)]
        if cases:
            widths[8:10] = [16, 17]
        cap = int(rng.integers(36, 44)) * np.dtype(dtype).itemsize + int(rng.integers(0, 4))
        case = Case(rng, {"widths": widths, "dtype": dtype}, 2, cap=cap)
        confused = len(filled(case.sizes, cap))
        if 1 < confused < len(case.buckets) < len(case.sizes) - 8:
            cases.append(case)
    return cases


@once_per_seed
def overlapping(rng) -> list[Case]:
    """Two steps; the first layer stands in the last bucket only, and others long before."""
    cases: list[Case] = []
    while len(cases) < 2:
        world = 2 + len(cases)
        widths = [int(w) for w in rng.integers(3, 8, size=16)]
        cap = int(rng.integers(36, 48)) * 8
        case = Case(rng, {"widths": widths}, world, cap=cap, steps=2)
        confused = filled(case.sizes, cap)  # bytes taken for numbers: also sends something early
        if min(case.layer[p] for p in confused[0]) > 0 and len(case.buckets) >= 8:
            cases.append(case)
    return cases


@once_per_seed
def tied(rng) -> Case:
    k, a, b = (int(w) for w in rng.permutation([4, 5, 6, 7])[:3])
    spec = {"widths": [k, k, a, b, k, k], "tied": [[0, 4]]}
    return Case(rng, spec, 2, cap=int(rng.integers(30, 50)) * 8)


@once_per_seed
def frozen(rng) -> Case:
    widths = [int(w) for w in rng.integers(3, 7, size=6)]
    layers = [int(x) for x in rng.choice(4, size=2, replace=False)]
    spec = {"widths": widths, "frozen": sorted(layers)}
    return Case(rng, spec, 2, cap=int(rng.integers(30, 50)) * 8, unlike=True)


@once_per_seed
def partly_unused(rng) -> list[Case]:
    """Two gated layers of one size between others. The first case uses everything everywhere.

    Each gated layer fills a bucket of its own, so that a rank without it has gradients for later
    buckets first.
    """
    k = int(rng.integers(4, 7))
    a = int(rng.integers(3, 8))
    gates = [[2, 0], [4, 1]]
    spec = {"widths": [a, k, k, k, k, k, k, k], "gates": gates}
    cap = (k * k + k) * 8
    cases = []
    for world, without in (
        (2, {}),
        (2, {1: {0}}),
        (3, {0: {1}, 2: {0, 1}}),
        (2, {0: {0}, 1: {0}}),
    ):
        cases.append(Case(rng, spec, world, cap=cap, without=without))
    return cases


@once_per_seed
def long_training(rng) -> Case:
    widths = [int(w) for w in rng.integers(3, 8, size=6)]
    return Case(rng, {"widths": widths}, 2, cap=int(rng.integers(30, 60)) * 8, steps=4)


@once_per_seed
def for_gloo(rng) -> Case:
    widths = [int(w) for w in rng.integers(3, 8, size=6)]
    return Case(rng, {"widths": widths}, 2, cap=320, steps=2, unlike=True, marked=False)


def test_gradients(student, seed):
    """All ranks start from rank 0's parameters, and end with the mean of all ranks' gradients."""
    for case in plain(seed):
        run = Run(student, case)
        run.require_values()
        run.require_broadcast()
        for rank in run.passes:
            assert case.world == 1 or rank[0].begun, blame(
                because="The gradients are right, but nothing was given to comm.all_reduce in the "
                "step: the ranks know of each other by another way."
            )


def test_buckets(student, seed):
    """No bucket exceeds cap_bytes unless it holds one parameter, and there are no more than needed.

    They are counted for a model in float32 and for one in float64.
    """
    for case in small_caps(seed):
        run = Run(student, case)
        run.require_in_step()
        for _, one in run.all_passes():
            sizes = [event.elements for event in one.begun]
            require_caps(case, sizes)
            numbers = len(sizes)
            assert numbers <= len(case.buckets) or numbers < len(case.sizes), blame(
                "PER_PARAMETER", numbers=numbers
            )
            assert numbers <= len(case.buckets), blame(
                because="One step took {numbers} all-reduces; with this cap, {enough} buckets "
                "filled one after another are enough.", numbers=numbers, enough=len(case.buckets),
            )  # fmt: skip


def require_caps(case: Case, sizes: list[int]) -> None:
    large = [n for n in sizes if n * case.itemsize > case.cap and n not in case.sizes]
    if not large:
        return
    assert len(sizes) > 1, blame("CAP_IGNORED", numbers=len(sizes))
    # In elements instead of bytes: up to four times the cap in float32. Twice is another mistake.
    counted = all(n <= case.cap or n in case.sizes for n in sizes)
    much = max(large) * case.itemsize > 2.5 * case.cap
    assert not (counted and much), blame("CAP_IN_ELEMENTS", largest=max(large), cap=case.cap)
    assert False, blame(
        because="A bucket of several parameters has {bytes} bytes; cap_bytes was {cap}.",
        bytes=max(large) * case.itemsize, cap=case.cap,
    )  # fmt: skip


def test_overlap(student, seed):
    """A bucket travels as soon as its gradients are there, while the backward pass goes on.

    What counts is the order of events: which all-reduces have begun when the pass comes to a layer.
    """
    for case in overlapping(seed):
        run = Run(student, case)
        run.require_in_step()
        for step, one in run.all_passes():
            missing = set(range(case.layers)) - set(one.layers)
            assert not missing, blame(
                because="In a step, the backward pass did not come to every layer of the module."
            )
            require_going_on(run, one)
            early = [e for e in one.before(0) if e.op == "all_reduce"]
            if not early:
                assert step == 0, blame("STATE_NOT_RESET", step=step)
                assert len(one.begun) > 1, blame("CAP_IGNORED", numbers=len(one.begun))
                assert not began_with_the_first_layer(case, one, step), blame("FORWARD_ORDER")
                assert False, blame("SYNC_AT_END", step=step)
            for layer in range(case.layers - 1):
                require_begun(case, one, step, layer)
            carried = [case.carried(e.array, one.rank, step) for e in one.begun]
            if step == 0 and len(set().union(*carried)) < len(case.sizes):
                run.require_values()  # the marks were set in time only if the gradients are right


def require_going_on(run: Run, one: Pass) -> None:
    """Assert that the rank waits for nothing before the backward pass has come to layer 0."""
    before = one.before(0)
    waits = sum(e.op == "wait" for e in before)
    held = sum(e.op == "all_reduce" and (e.rank, e.number) in run.comm.blocking for e in before)
    assert waits + held == 0, blame("BLOCKING_HOOK", waits=waits, blocking=held)


def began_with_the_first_layer(case: Case, one: Pass, step: int) -> bool:
    """Whether the first all-reduce began in the backward pass, and carried the first parameter."""
    during = [e for e in one.before("finish") if e.op == "all_reduce"]
    return bool(during) and 0 in case.carried(during[0].array, one.rank, step)


def require_begun(case: Case, one: Pass, step: int, layer: int) -> None:
    """Assert that what could travel when the pass came to `layer` was on its way.

    Either as many numbers as in the buckets that the task describes, or each own bucket whose
    gradients were all there.
    """
    begun = [e for e in one.before(layer) if e.op == "all_reduce"]
    numbers = sum(e.elements for e in begun)
    ready = [b for b in case.buckets if min(case.layer[p] for p in b) > layer]
    possible = sum(case.sizes[p] for b in ready for p in b)
    if numbers >= possible:
        return
    for event in one.begun[len(begun) :]:
        places = case.carried(event.array, one.rank, step)
        late = not places or min(case.layer[p] for p in places) > layer
        assert not late, blame(
            because="When the backward pass came to layer {layer} of {layers} (counted from 0), "
            "the gradients of a further bucket had long been there, and its all-reduce had not "
            "begun.", layer=layer, layers=case.layers, numbers=numbers, possible=possible,
        )  # fmt: skip


def test_each_once(student, seed):
    """In a step each trainable number travels once: tied weights once, frozen ones not at all."""
    for case, doubled in ((tied(seed), "TIED_TWICE"), (frozen(seed), None)):
        run = Run(student, case)
        run.require_in_step()
        for _, one in run.all_passes():
            numbers = sum(event.elements for event in one.begun)
            extra = numbers - sum(case.sizes)
            assert doubled is None or extra != case.sizes[0], blame(doubled, extra=extra)
            assert extra <= 0, blame(
                because="In a step, {numbers} numbers were given to comm.all_reduce; the model has "
                "{needed} that need a gradient.", numbers=numbers, needed=sum(case.sizes),
            )  # fmt: skip
            assert extra >= 0, blame(
                because="In a step, only {numbers} numbers were given to comm.all_reduce; the "
                "model has {needed} that need a gradient.",
                numbers=numbers, needed=sum(case.sizes),
            )  # fmt: skip
        run.require_values()
        run.require_broadcast()


def test_unused(student, seed):
    """A parameter without a gradient counts as zero, and no rank hangs or mixes up buckets."""
    for number, case in enumerate(partly_unused(seed)):
        run = Run(student, case)
        if number == 0:  # whoever falls out of step here does so for another reason
            run.require_values()
            continue
        wrong = run.fault is not None or run.wrong_in(0) is not None
        assert not (wrong and mixed_up(run)), blame("READY_ORDER")
        skipped = len({sum(e.elements for e in rank[0].begun) for rank in run.passes if rank}) > 1
        assert not (wrong and skipped), blame("UNUSED_SKIPPED")
        run.require_values()


def mixed_up(run: Run) -> bool:
    """Whether all-reduces of one number carried, on some rank, what others sent in another one.

    A rank may lack parameters of a bucket, but what it has must be where the others have it.
    """
    place: dict[int, int] = {}
    for rank in run.passes:
        for number, event in enumerate(rank[0].begun if rank else []):
            for parameter in run.case.carried(event.array, rank[0].rank, 0):
                if place.setdefault(parameter, number) != number:
                    return True
    return False


def test_steps(student, seed):
    """Every step of a training is right, not only the first one."""
    Run(student, long_training(seed)).require_values()


def test_gloo(student, seed):
    """The same class gives the same gradients on two real processes with gloo."""
    # What is not waited for comes out right or wrong with gloo, as it happens: here, always wrong.
    Run(student, for_gloo(seed)).require_values()
    run = Run(student, for_gloo(seed), on="gloo")
    run.require_values()
    run.require_broadcast()
