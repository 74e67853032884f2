"""Points: expected values are worked out by hand, or with exact fractions."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardwork.course import Exercise
from shardwork.points import score, weight_of
from shardwork.record import CheckResult, Verdict

pytestmark = pytest.mark.unit

PASSED, FAILED, ERROR, SKIPPED = Verdict.PASSED, Verdict.FAILED, Verdict.ERROR, Verdict.SKIPPED


def exercise(points: float = 5, **weights: float) -> Exercise:
    return Exercise("tree", points, 30, weights=weights)


def checks(**verdicts: Verdict) -> list[CheckResult]:
    return [CheckResult(name, name, verdict) for name, verdict in verdicts.items()]


def test_checks_without_weights_count_the_same() -> None:
    # 2 of 3 checks: 2/3 of 5 = 3.333...
    assert score(exercise(), "", checks(a=PASSED, b=PASSED, c=FAILED)).points == 3.33


def test_a_weight_counts_as_many_checks() -> None:
    # b weighs 3 of 5: 5 * 3/5 = 3; the other two weigh 1 each
    assert score(exercise(b=3), "", checks(a=FAILED, b=PASSED, c=FAILED)).points == 3.0
    assert score(exercise(b=3), "", checks(a=PASSED, b=FAILED, c=PASSED)).points == 2.0


def test_a_weight_of_a_check_that_was_not_run_counts_for_nothing() -> None:
    assert score(exercise(gone=100), "", checks(a=PASSED)).points == 5.0


@pytest.mark.parametrize("verdict", [FAILED, ERROR, SKIPPED])
def test_only_a_check_that_passed_earns(verdict: Verdict) -> None:
    result = score(exercise(), "", checks(a=verdict, b=PASSED))
    assert result.points == 2.5


def test_an_error_makes_the_points_provisional_and_nothing_else_does() -> None:
    assert score(exercise(), "", checks(a=PASSED, b=ERROR)).provisional
    assert not score(exercise(), "", checks(a=PASSED, b=FAILED, c=SKIPPED)).provisional


def test_no_checks_at_all_are_no_points_and_no_final_word() -> None:
    result = score(exercise(), "", [])
    assert (result.points, result.provisional) == (0.0, True)


def test_the_result_carries_the_key_the_checks_and_the_points_there_are() -> None:
    given_checks = checks(a=PASSED, b=FAILED)
    result = score(exercise(points=2.5), "k" * 64, given_checks)
    assert (result.name, result.key, result.max_points) == ("tree", "k" * 64, 2.5)
    assert result.checks == tuple(given_checks)


def test_a_check_that_is_not_weighed_weighs_one() -> None:
    assert weight_of({"test_a": 2.5}, "test_a") == 2.5
    assert weight_of({"test_a": 2.5}, "test_b") == 1.0


quarters = st.integers(1, 400).map(lambda n: n / 4)  # exact in binary, so fractions are exact


@given(
    points=quarters,
    given_checks=st.lists(
        st.tuples(quarters, st.sampled_from([PASSED, FAILED, SKIPPED])), min_size=1, max_size=12
    ),
)
def test_points_are_the_weighted_share_and_never_outside_it(points, given_checks) -> None:
    names = [f"test_{i}" for i in range(len(given_checks))]
    weighed = exercise(points, **dict(zip(names, (w for w, _ in given_checks), strict=True)))
    verdicts = dict(zip(names, (v for _, v in given_checks), strict=True))
    got = score(weighed, "", checks(**verdicts)).points
    earned = sum(Fraction(w) for w, v in given_checks if v is PASSED)
    share = Fraction(points) * earned / sum(Fraction(w) for w, _ in given_checks)
    assert abs(Fraction(got) - share) <= Fraction(1, 200) + Fraction(1, 10**9)
    assert 0 <= got <= points
    if all(v is PASSED for _, v in given_checks):
        assert got == points
