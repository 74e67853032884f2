"""4.5 `topk_step`: send the k largest entries, and carry what was left behind into the next step.

The judge is everything around the function: it hands over gradients and residuals, reads the
messages and trains with them. The function is asked for one step at a time, so all it can know is
what it is given, and its answer is determined but for the order of entries and for ties.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from shardwork.grading import OracleBank, blame, close, once_per_seed
from shardwork.wire import Tensor

TOLERANCE = 1e-12
INDEX_BYTES = 8
Vector = np.ndarray


class Step(NamedTuple):
    """What one call has returned, and the message as a vector: zero where nothing was sent."""

    values: Vector
    idx: Vector
    residual: Vector
    sent: Vector


def same(a: Vector, b: Vector) -> bool:
    return close(a, b, rel=TOLERANCE, abs=TOLERANCE)


def take(student, grad: Vector, residual: Vector, k: int) -> Step:
    """Make one call, and assert the form of what it returns; how many entries is judged apart."""
    values, idx, left = student.value(
        "topk_step", Tensor(grad), Tensor(residual), k, as_=tuple[Vector, Vector, Vector]
    )
    assert values.dtype == left.dtype == np.float64, blame(
        because="values and residual should be of the type float64."
    )
    assert idx.dtype == np.int64, blame(because="idx should be of the type int64.")
    assert left.shape == grad.shape, blame(
        because="The residual should have the shape of grad, with {n} entries.", n=len(grad)
    )
    assert values.ndim == 1 and values.shape == idx.shape, blame(
        because="values and idx should have one dimension, and equally many entries."
    )
    assert (np.abs(np.concatenate([values, left])) < 1e100).all(), blame(
        because="Some entry of values or residual is not a finite number, or absurdly large."
    )
    assert ((idx >= 0) & (idx < len(grad))).all(), blame(
        because="Some entry of idx is not the index of an entry of grad."
    )
    assert len(np.unique(idx)) == len(idx), blame(because="Some index stands in idx twice.")
    sent = np.zeros_like(grad)
    sent[idx] = values
    return Step(values, idx, left, sent)


def sparse(source: Vector, by: Vector, k: int) -> Vector:
    """`source` where `by` is among its k largest entries, and zero elsewhere."""
    chosen = np.argsort(by)[-k:]
    kept = np.zeros_like(source)
    kept[chosen] = source[chosen]
    return kept


def messages(grad: Vector, residual: Vector, k: int) -> OracleBank[Vector]:
    """The message of one step as a vector, and those of the known mistakes that differ here."""
    total = grad + residual
    wrong = {
        "SIGNED_TOPK": sparse(total, total, k),
        "MAGNITUDES_SENT": sparse(np.abs(total), np.abs(total), k),
    }
    if residual.any():
        wrong["NO_FEEDBACK"] = sparse(grad, np.abs(grad), k)
        wrong["CHOSEN_BY_GRADIENT"] = sparse(total, np.abs(grad), k)
    return OracleBank(sparse(total, np.abs(total), k), wrong, same)


def leftovers(grad: Vector, residual: Vector, sent: Vector) -> OracleBank[Vector]:
    """What is left behind once `sent` has gone, and what the known mistakes keep."""
    total = grad + residual
    wrong = {"SENT_KEPT": total}
    if residual.any():
        wrong["RESIDUAL_OVERWRITTEN"] = np.where(sent == 0, grad, 0.0)
    else:
        wrong["NO_FEEDBACK"] = np.zeros_like(grad)
    return OracleBank(total - sent, wrong, same)


def mislaid(grad: Vector, residual: Vector, step: Step, k: int) -> str | None:
    """The code of the mistake that explains a step after which something is missing or too much.

    Its residual came from the student's code, so no bank may be built on it.
    """
    total = grad + residual
    if residual.any() and same(step.sent, sparse(grad, np.abs(grad), k)):
        return "NO_FEEDBACK"
    if not residual.any() and not step.residual.any():
        return "NO_FEEDBACK"
    if same(step.sent, sparse(np.abs(total), np.abs(total), k)):
        return "MAGNITUDES_SENT"
    if same(step.residual, total):
        return "SENT_KEPT"
    if residual.any() and same(step.residual, np.where(step.sent == 0, grad, 0.0)):
        return "RESIDUAL_OVERWRITTEN"
    return None


def alternating(rng, size: int) -> Vector:
    """Distinct magnitudes between 1 and 3, whose largest entries have both signs."""
    magnitudes = np.sort(rng.uniform(1.0, 3.0, size))
    signs = np.where(np.arange(size) % 2, 1.0, -1.0) * rng.choice([-1.0, 1.0])
    return rng.permutation(magnitudes * signs)


def draw(rng, n: int, k: int) -> tuple[Vector, Vector]:
    """A gradient and a residual; the k largest entries of the gradient, of the residual and of
    their sum are at different places, and those of the sum have both signs (k >= 2)."""
    places = rng.permutation(n)
    grad, residual = rng.uniform(-0.5, 0.5, n), rng.uniform(-0.5, 0.5, n)
    in_grad, in_residual, in_sum = places[:k], places[k : 2 * k], places[2 * k : 3 * k]
    large = alternating(rng, k)
    grad[in_grad], residual[in_grad] = 4.0 * large, -3.5 * large
    large = alternating(rng, k)
    grad[in_residual], residual[in_residual] = -3.5 * large, 4.0 * large
    large = alternating(rng, k)
    grad[in_sum], residual[in_sum] = 1.7 * large, 1.8 * large
    return grad, residual


@once_per_seed
def first_steps(rng) -> list[tuple[Vector, int]]:
    cases = [(int(rng.integers(9, 15)), 2), (int(rng.integers(40, 60)), 5), (301, 30)]
    return [(alternating(rng, n), k) for n, k in cases]


@once_per_seed
def later_steps(rng) -> list[tuple[Vector, Vector, int]]:
    cases = [(int(rng.integers(9, 15)), 2), (int(rng.integers(40, 60)), 6), (257, 20)]
    return [(*draw(rng, n, k), k) for n, k in cases]


def test_first_step(student, seed):
    """With nothing owed yet, the entries furthest from zero are sent, and the rest is kept."""
    for grad, k in first_steps(seed):
        before = np.zeros_like(grad)
        step = take(student, grad, before, k)
        bank = messages(grad, before, k)
        assert bank.accepts(step.sent), bank.explain(step.sent, n=len(grad), k=k)
        bank = leftovers(grad, before, step.sent)
        assert bank.accepts(step.residual), bank.explain(step.residual, n=len(grad), k=k)


def test_residual_takes_part(student, seed):
    """What earlier steps left behind has its part in what is chosen, and in what is sent."""
    for grad, residual, k in later_steps(seed):
        step = take(student, grad, residual, k)
        bank = messages(grad, residual, k)
        assert bank.accepts(step.sent), bank.explain(step.sent, n=len(grad), k=k)


def test_nothing_is_lost(student, rng):
    """After many steps, all that was sent and what is left behind add up to all the gradients."""
    n, k, steps = 23, 3, 40
    given, sent, residual = np.zeros(n), np.zeros(n), np.zeros(n)
    for number in range(1, steps + 1):
        grad = alternating(rng, n)
        step = take(student, grad, residual, k)
        given += grad
        sent += step.sent
        if not close(sent + step.residual, given, rel=1e-9):
            code = mislaid(grad, residual, step, k)
            assert False, blame(
                code,
                because="" if code
                else "After {number} steps, what was sent and what is left behind do not add up to "
                "the gradients.", number=number,
            )  # fmt: skip
        residual = step.residual


def test_size_of_message(student, seed):
    """A message holds k values and k indices, whatever the gradient is."""
    cases = [(grad, residual, k) for grad, residual, k in later_steps(seed)]
    grad = cases[0][0]
    n = len(grad)
    cases.append((np.zeros(n), np.zeros(n), 3))  # all entries are equally large
    cases.append((grad, np.zeros(n), 1))
    for grad, residual, k in cases:
        step = take(student, grad, residual, k)
        found, most = step.values.nbytes + INDEX_BYTES * len(step.idx), (8 + INDEX_BYTES) * k
        dense = len(step.values) == len(grad)
        assert found <= most, blame(
            "DENSE_ZEROS" if dense and grad.any() else None,
            because="" if dense and grad.any()
            else "For k = {k} the message has {entries} entries.",
            k=k, entries=len(step.values), bytes=found, most=most,
        )  # fmt: skip
        assert len(step.values) == k, blame(
            because="For k = {k} the message has {entries} entries.",
            k=k, entries=len(step.values),
        )  # fmt: skip


def test_two_workers(student, rng):
    """Two workers whose largest entries cancel still reach the minimum that they share."""
    n, k, rate, steps = 8, 2, 0.02, 260  # right: at most 2.3 % remain; wrong: at least 98 %
    goal = rng.choice([-1.0, 1.0], n) * rng.uniform(0.7, 1.3, n)
    apart = rng.uniform(-0.2, 0.2, n)
    quarrel = rng.permutation(n)[:k]
    goal[quarrel], apart[quarrel] = 0.0, rng.uniform(2.8, 3.2, k) * rng.choice([-1.0, 1.0], k)
    wanted = [goal + apart, goal - apart]
    x, residuals = np.zeros(n), [np.zeros(n), np.zeros(n)]
    start = float(np.linalg.norm(goal))
    for _ in range(steps):
        taken = [
            take(student, x - target, residual, k)
            for target, residual in zip(wanted, residuals, strict=True)
        ]
        residuals = [step.residual for step in taken]
        x = x - rate * sum(step.sent for step in taken) / len(taken)
        assert np.abs(x).max() < 1e3, blame(
            because="With your messages, gradient descent with two workers moves away from the "
            "minimum.",
        )  # fmt: skip
    remaining = float(np.linalg.norm(x - goal)) / start
    assert remaining < 0.35, blame(
        because="After {steps} steps of two workers, {percent} % of the distance from the minimum "
        "remain.", steps=steps, percent=round(100 * remaining),
    )  # fmt: skip


def test_limits(student, rng):
    """With k = n all is sent and nothing stays behind; an impossible k or shape is a ValueError."""
    n = 7
    grad, residual = alternating(rng, n), alternating(rng, n)
    step = take(student, grad, residual, n)
    assert same(step.sent, grad + residual) and not step.residual.any(), blame(
        because="With k = n, everything should be sent, and the residual should be zero."
    )
    for k in (0, -1, n + 1):
        raised = student.refusal("topk_step", Tensor(grad), Tensor(residual), k)
        assert "ValueError" in raised, blame(
            because="With n = {n} entries, k = {k} should raise ValueError.", n=n, k=k
        )
    raised = student.refusal("topk_step", Tensor(grad), Tensor(residual[:-1]), 2)
    assert "ValueError" in raised, blame(
        because="A residual of another shape than grad should raise ValueError."
    )
