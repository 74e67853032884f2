"""4.6 `amp_step` and `Scaler`: half precision for the gradient, float32 masters, one decision.

The network is an instrument of the judge. Every rank makes a short script of steps; the judge makes
the same steps with numpy's float16, rightly and with each known mistake, and compares how far the
weights have moved. Overflow is never near: what is meant to be finite stays below 65504 / 4, and
what is not is beyond 65504 * 100.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from shardwork.grading import Comm, OracleBank, StudentFault, blame, once_per_seed
from shardwork.wire import Tensor

SHAPES = [(3, 4), (5,), (2, 3)]
NEAR = 5e-3
"""Relative tolerance of a movement: a float16 gradient is right to 5e-4."""
FAR, STRONG = 3e4, 100.0
"""A distance and a strength whose gradient overflows with every scale, and with none."""
Weights = list[np.ndarray]
Told = list[tuple[bool, float, list[np.ndarray]]]


@dataclass(frozen=True)
class Step:
    """One step: the targets of each rank, and how strongly each parameter is pulled there."""

    targets: list[Weights]
    strengths: list[float] = field(default_factory=lambda: [1.0] * len(SHAPES))


@dataclass(frozen=True)
class Case:
    """A script of steps for `world` ranks that begin with the same weights."""

    weights: Weights
    script: list[Step]
    scale: float = 1024.0
    interval: int = 1000
    lr: float = 0.05
    max_norm: float = 1e6

    @property
    def world(self) -> int:
        return len(self.script[0].targets)


def pulled(case: Case, mistake: str = "") -> Weights:
    """The weights after the script, on all ranks; nothing may overflow on the way."""
    master = [w.copy() for w in case.weights]
    for step in case.script:
        given = []
        for targets in step.targets:
            scale = np.float32(1.0 if mistake == "UNSCALED_IN_HALF" else case.scale)
            grads = [
                (scale * np.float32(s) * (w.astype(np.float16) - t).astype(np.float32))
                .astype(np.float16).astype(np.float64)
                for w, t, s in zip(master, targets, step.strengths, strict=True)
            ]  # fmt: skip
            if mistake not in ("CLIP_BEFORE_UNSCALE", "NOT_UNSCALED"):
                grads = [g / scale for g in grads]
            if mistake == "CLIPS_EACH_RANK":
                grads = clipped(grads, case.max_norm)
            given.append(grads)
        mean = [sum(parts) / case.world for parts in zip(*given, strict=True)]
        mean = clipped(mean, case.max_norm)
        if mistake == "CLIP_BEFORE_UNSCALE":
            mean = [g / case.scale for g in mean]
        for i, g in enumerate(mean):
            half = master[i].astype(np.float16)
            if mistake == "NO_MASTER":
                master[i] = (half - (case.lr * g).astype(np.float16)).astype(np.float32)
            elif mistake == "NO_MASTER, float32":
                master[i] = (half.astype(np.float64) - case.lr * g).astype(np.float32)
            else:
                master[i] = (master[i] - case.lr * g).astype(np.float32)
    return master


def clipped(grads: Weights, max_norm: float) -> Weights:
    norm = np.sqrt(sum((g**2).sum() for g in grads))
    return [g * min(1.0, max_norm / max(norm, 1e-300)) for g in grads]


class Moved:
    """How far weights have moved, for comparison: parameter by parameter, by the norm."""

    def __init__(self, case: Case) -> None:
        self.case = case

    def bank(self, *mistakes: str) -> OracleBank[Weights]:
        """The weights after the script, and those of the mistakes that must show here."""
        wrong = {mistake: pulled(self.case, mistake) for mistake in mistakes}
        return OracleBank(pulled(self.case), wrong, self.same)

    def same(self, a: Weights, b: Weights) -> bool:
        return all(
            bool(np.isfinite(x).all())
            and np.linalg.norm(x.astype(np.float64) - y)
            <= NEAR * np.linalg.norm(y.astype(np.float64) - w) + 3e-7 * np.linalg.norm(w)
            for x, y, w in zip(a, b, self.case.weights, strict=True)
        )


def perform(student, case: Case, *, alone: str | None = None) -> list[Told]:
    """Let all ranks make the script; return what each told. Assert that they keep in step.

    `alone` is the code for ranks that fall out of step where only some of them overflow.
    """
    comm = Comm(allowed={"all_reduce"})
    settings = {
        "scale": case.scale, "interval": case.interval, "lr": case.lr, "max_norm": case.max_norm,
    }  # fmt: skip
    scaler = student.function("Scaler")
    weights = [Tensor(w) for w in case.weights]
    per_rank = [
        [
            scaler,
            weights,
            [([Tensor(t) for t in step.targets[rank]], step.strengths) for step in case.script],
            settings,
            comm,
        ]
        for rank in range(case.world)
    ]
    try:
        told = student.ranks("amp_step", per_rank, as_=Told, driver="torch.amp.steps")
    except StudentFault as fault:
        in_step = comm.mismatch is None or comm.mismatch not in fault.detail
        assert in_step, blame(
            alone,
            because="" if alone else "The ranks do not make the same calls of comm.all_reduce.",
            world=case.world,
        )
        raise
    for one in told:
        require_form(one, case)
    numbers = sum(event.elements for event in comm.calls("all_reduce", 0))
    clean = sum(1 for stepped, _, _ in told[0] if stepped)
    needed = clean * sum(w.size for w in case.weights)
    assert case.world == 1 or numbers >= needed, blame(
        because="The ranks give comm.all_reduce fewer numbers than there are weights.",
        numbers=numbers, needed=needed,
    )  # fmt: skip
    return told


def require_form(told: Told, case: Case) -> None:
    for _, _, weights in told:
        assert [w.shape for w in weights] == [w.shape for w in case.weights], blame(
            because="After the call, master no longer holds tensors of the same shapes."
        )
        assert all(w.dtype == np.float32 for w in weights), blame(
            because="After the call, some tensor in master is not of the type float32."
        )


def require_clean(told: list[Told], case: Case) -> None:
    """Assert that each step was made, and with the scale left as it was."""
    for one in told:
        assert all(stepped for stepped, _, _ in one), blame(
            because="amp_step did not return True, although no gradient overflowed."
        )
        assert all(scale == case.scale for _, scale, _ in one), blame(
            because="The scale has changed, although nothing overflowed and the interval is long."
        )


def judge(told: list[Told], case: Case, *mistakes: str) -> None:
    """Assert that all ranks have the right weights after a script without overflow."""
    bank = Moved(case).bank(*mistakes)
    for rank, one in enumerate(told):
        found = one[-1][2]
        if bank.accepts(found):
            continue
        code = bank.explain(found).code
        assert code is None, blame(code, rank=rank, world=case.world)
        assert not in_half(found) or in_half(pulled(case)), blame("NO_MASTER", rank=rank)
        assert False, blame(
            because="After {steps} steps without overflow, the master weights of rank {rank} are "
            "not the right ones.", steps=len(case.script), rank=rank,
        )  # fmt: skip
    require_clean(told, case)
    require_equal(told)


def in_half(weights: Weights) -> bool:
    """Whether all weights are numbers that float16 has."""
    with np.errstate(over="ignore"):
        return all(np.array_equal(w, w.astype(np.float16).astype(np.float32)) for w in weights)


def require_equal(told: list[Told]) -> None:
    for one in told[1:]:
        for (_, _, first), (_, _, other) in zip(told[0], one, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(first, other, strict=True)), blame(
                because="The master weights are not the same on all ranks."
            )


def draw_weights(rng) -> Weights:
    return [rng.uniform(-1.0, 1.0, shape).astype(np.float32) for shape in SHAPES]


def draw_targets(rng) -> Weights:
    return [
        (rng.choice([-1.0, 1.0], shape) * rng.uniform(1.2, 2.0, shape)).astype(np.float16)
        for shape in SHAPES
    ]


def step(rng, world: int, strengths: list[float] | None = None) -> Step:
    return Step([draw_targets(rng) for _ in range(world)], strengths or [1.0] * len(SHAPES))


def overflowing(rng, signs: list[float]) -> Step:
    """A step in which one entry overflows on each rank whose sign is not zero."""
    parameter = int(rng.integers(len(SHAPES)))
    strengths = [STRONG if i == parameter else 1.0 for i in range(len(SHAPES))]
    made = step(rng, len(signs), strengths)
    place = int(rng.integers(made.targets[0][parameter].size))
    for targets, sign in zip(made.targets, signs, strict=True):
        if sign:
            targets[parameter].flat[place] = sign * FAR
    return made


@once_per_seed
def plain(rng) -> list[Case]:
    return [
        Case(draw_weights(rng), [step(rng, world) for _ in range(3)], scale=scale, lr=0.02)
        for world, scale in ((1, 32.0), (int(rng.integers(2, 5)), 64.0))
    ]


@once_per_seed
def faint(rng) -> Case:
    strengths = [float(s) for s in rng.uniform(3e-9, 6e-9, len(SHAPES))]
    script = [step(rng, 2, strengths) for _ in range(2)]
    return Case(draw_weights(rng), script, scale=2.0**30, lr=1e7)


@once_per_seed
def gradual(rng) -> Case:
    """Weights between 1 and 1.5, which a single step moves by less than float16 can hold."""
    weights = [rng.uniform(1.05, 1.45, shape).astype(np.float32) for shape in SHAPES]
    common = [
        w + rng.choice([-1.0, 1.0], w.shape) * rng.uniform(0.6, 1.0, w.shape) for w in weights
    ]
    script = []
    for _ in range(30):
        targets = [[(c + rng.normal(0, 0.02, c.shape)).astype(np.float16) for c in common]] * 2
        script.append(Step(targets))
    return Case(weights, script, lr=1e-4)


@once_per_seed
def long(rng) -> Case:
    script = [step(rng, 3) for _ in range(3)]
    return Case(draw_weights(rng), script, lr=0.5, max_norm=float(rng.uniform(0.5, 0.8)))


@once_per_seed
def flags(rng) -> list[tuple[float, int, list[bool]]]:
    """Scales, intervals and overflows: one comes one step before the scale would grow."""
    made = []
    for interval in (int(rng.integers(3, 6)), int(rng.integers(2, 4)), 1):
        some = [False] * (interval - 1) + [True] + [False] * (2 * interval + 1) + [True, True]
        some += [bool(f) for f in rng.random(12) < 0.25]
        made.append((2.0 ** int(rng.integers(3, 17)), interval, some))
    return made


def scales(scale: float, interval: int, overflows: list[bool], *, reset: bool = True):
    found, clean = [scale], 0
    for overflow in overflows:
        if overflow:
            scale /= 2
            clean = 0 if reset else clean
        else:
            clean += 1
            if clean == interval:
                scale, clean = scale * 2, 0
        found.append(scale)
    return found


def test_scaler(student, seed):
    """The scale halves with each overflow, and doubles after so many clean steps in a row."""
    for scale, interval, overflows in flags(seed):
        wrong = {"STREAK_NOT_RESET": scales(scale, interval, overflows, reset=False)}
        bank = OracleBank(
            scales(scale, interval, overflows),
            wrong if interval > 1 else {},
            lambda a, b: a == b,
        )
        (found,) = student.ranks(
            "Scaler", [[scale, interval, overflows]], as_=list[float], driver="torch.amp.scales"
        )
        assert found[0] == scale, blame(
            because="A new Scaler should have the scale that it was given."
        )
        if not bank.accepts(found):
            code = bank.explain(found).code
            assert False, blame(
                code,
                because="" if code
                else "With an interval of {interval}, the scale is not the right one after all "
                "updates.", interval=interval,
            )  # fmt: skip


def test_plain_steps(student, seed):
    """Without overflow, a step is one of gradient descent with the mean of all ranks' gradients."""
    for case in plain(seed):
        judge(perform(student, case), case, "NOT_UNSCALED")


def test_small_gradients(student, seed):
    """Gradients that are too small for float16 are not lost."""
    case = faint(seed)
    judge(perform(student, case), case, "UNSCALED_IN_HALF")


def test_small_updates(student, seed):
    """Updates that are too small for a float16 weight add up."""
    case = gradual(seed)
    right, variant = pulled(case), pulled(case, "NO_MASTER, float32")
    told = perform(student, case)
    same = Moved(case).same
    assert not same(right, variant)
    for one in told:
        found = one[-1][2]
        assert same(found, right) or not same(found, variant), blame("NO_MASTER")
    judge(told, case, "NO_MASTER")


def test_clipping(student, seed):
    """The mean gradient is clipped to the norm asked for, whatever the scale is."""
    case = long(seed)
    judge(perform(student, case), case, "CLIP_BEFORE_UNSCALE", "CLIPS_EACH_RANK")


def test_growth(student, rng):
    """After enough clean steps in a row the scale grows, and the size of the steps stays right."""
    world = int(rng.integers(2, 4))
    script = [step(rng, world) for _ in range(5)]
    case = Case(draw_weights(rng), script, scale=16.0, interval=2, lr=0.02)
    told = perform(student, case)
    wanted = scales(case.scale, case.interval, [False] * len(script))[1:]
    for one in told:
        assert [scale for _, scale, _ in one] == wanted, blame(
            because="With an interval of {interval}, the scale has not become what it should be "
            "after {steps} steps without overflow.", interval=case.interval, steps=len(script),
        )  # fmt: skip
        assert Moved(case).bank().accepts(one[-1][2]), blame(
            because="With a scale that grows, the master weights are not the right ones."
        )
    require_equal(told)


def unchanged(told: Told, number: int, case: Case) -> bool:
    """Whether step `number` of a rank has left the weights as they were, to the bit."""
    before = told[number - 1][2] if number else case.weights
    return all(np.array_equal(a, b) for a, b in zip(before, told[number][2], strict=True))


def require_skipped(told: list[Told], number: int, case: Case, *, some: bool) -> None:
    """Assert that step `number` was left out by all ranks; `some`: not all of them overflowed."""
    still = [unchanged(one, number, case) for one in told]
    assert not any(still) or all(still), blame("LOCAL_SKIP", ranks=case.world, still=sum(still))
    assert all(still), blame("STEPS_ON_INF", ranks=case.world)
    before = [one[number - 1][1] if number else case.scale for one in told]
    halved = [one[number][1] == scale / 2 for one, scale in zip(told, before, strict=True)]
    assert not some or not any(halved) or all(halved), blame("LOCAL_SKIP", halved=sum(halved))
    assert all(halved), blame(
        because="A step was left out because of an overflow, and the scale was not halved."
    )
    assert not any(one[number][0] for one in told), blame(
        because="A step was left out because of an overflow, and amp_step did not return False."
    )


def require_moved(told: list[Told], number: int, case: Case) -> None:
    """Assert that a clean step was made by all ranks, and that the scale is as before."""
    for one in told:
        before = one[number - 1][1] if number else case.scale
        assert one[number][0] and not unchanged(one, number, case), blame(
            because="A step without overflow was left out after one with an overflow."
        )
        assert one[number][1] == before, blame(
            because="The scale has changed in a step without overflow, long before its interval."
        )


def test_overflow(student, rng):
    """If the gradient overflows on all ranks, nobody steps, the scale halves, and it goes on."""
    world = int(rng.integers(2, 5))
    signs = [1.0, -1.0] + [1.0] * (world - 2)  # opposite infinities have no sum
    script = [step(rng, world), overflowing(rng, [1.0] * world), overflowing(rng, signs)]
    case = Case(draw_weights(rng), [*script, step(rng, world)], scale=16.0)
    told = perform(student, case)
    require_moved(told, 0, case)
    require_skipped(told, 1, case, some=False)
    require_skipped(told, 2, case, some=False)
    require_moved(told, 3, case)
    after = Case(told[0][2][2], case.script[3:], scale=case.scale / 4)
    assert Moved(after).bank().accepts(told[0][3][2]), blame(
        because="The step after an overflow is not the right one."
    )
    require_equal(told)


def test_overflow_on_one_rank(student, rng):
    """If the gradient overflows on a single rank, all ranks leave out the step together."""
    world = int(rng.integers(2, 5))
    alone = [0.0] * world
    alone[int(rng.integers(world))] = float(rng.choice([-1.0, 1.0]))
    first = step(rng, world)
    calm = Case(draw_weights(rng), [first], scale=16.0)
    require_moved(perform(student, calm), 0, calm)
    case = Case(calm.weights, [first, overflowing(rng, alone)], scale=16.0)
    told = perform(student, case, alone="LOCAL_SKIP")
    require_moved(told, 0, case)
    require_skipped(told, 1, case, some=True)
    require_equal(told)
