"""From verdicts to points: pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shardwork.course import Exercise
from shardwork.record import CheckResult, ExerciseResult, Verdict


def score(exercise: Exercise, key: str, checks: Sequence[CheckResult]) -> ExerciseResult:
    """Add up one exercise: its points are divided among the checks by weight.

    A check with the verdict `error` earns nothing yet and makes the result provisional. Points are
    rounded to two decimals, once, at the end.
    """
    weights = [weight_of(exercise.weights, check.name) for check in checks]
    earned = sum(
        weight
        for weight, check in zip(weights, checks, strict=True)
        if check.verdict is Verdict.PASSED
    )
    total = sum(weights)
    points = round(exercise.points * earned / total, 2) if total else 0.0
    provisional = not checks or any(check.verdict is Verdict.ERROR for check in checks)
    return ExerciseResult(exercise.name, key, points, exercise.points, tuple(checks), provisional)


def weight_of(weights: Mapping[str, float], check: str) -> float:
    """Return the weight of a check: 1 unless the course configuration says otherwise."""
    return weights.get(check, 1.0)
