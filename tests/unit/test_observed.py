"""`same` and `close`: what passes for the expected value, and what only looks like it."""

from __future__ import annotations

import copy
import math
import unicodedata
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardwork.grading import GraderFault, close, same
from shardwork.wire import Opaque, Ref, Tensor

pytestmark = pytest.mark.unit

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary(),
    st.complex_numbers(allow_nan=False),
)  # fmt: skip
keys = st.one_of(st.booleans(), st.integers(-2, 2), st.text(max_size=3), st.tuples(st.booleans()))
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
        st.frozensets(keys, max_size=4),
    ),
    max_leaves=10,
)


@given(trees)
def test_a_value_is_the_same_as_a_copy_of_it(value: object) -> None:
    assert same(copy.deepcopy(value), value, empty=True)


@given(trees, trees)
def test_what_is_the_same_is_equal_and_of_the_same_types(value: object, expected: object) -> None:
    if same(value, expected, empty=True):
        assert value == expected
        assert type(value) is type(expected)


LOOKALIKES: list[tuple[Any, Any]] = [
    (True, 1),
    (1, True),
    (False, 0),
    (1.0, 1),
    (1, 1.0),
    (np.bool_(True), True),
    (np.int64(9), 9),
    (np.float64(0.5), 0.5),
    (np.int32(9), np.int64(9)),
    ("9", 9),
    (b"9", "9"),
    (Decimal(9), 9),
    (10**400, 1.0),
    (complex(1, 0), 1.0),
    ((1, 2), [1, 2]),
    ([1, 2], (1, 2)),
    ([True], [1]),
    ({True: 1}, {1: 1}),
    ({1.0: 1}, {1: 1}),
    ({(1, True): 1}, {(1, 1): 1}),
    (frozenset({True}), {1}),
    ([1, 2], {1, 2}),
    (None, 0),
    (Opaque("Equal"), 1),
    (Ref("spark.rdd", 1), [1]),
    (np.array([1, 2]), [1, 2]),
    (np.array([1.0, 2.0], np.float32), np.array([1.0, 2.0])),
    (np.array([1.0]), np.array([[1.0]])),
    (np.array([True]), np.array([1])),
    (np.array(1.0), 1.0),
    (Tensor(np.array([1.0])), np.array([1.0])),
    (np.array([[1.0, 2.0]]), np.array([[1.0], [2.0]])),  # would broadcast
    (np.float64(1.0), np.array([1.0, 1.0])),
]


@pytest.mark.parametrize(("value", "expected"), LOOKALIKES, ids=str)
def test_a_value_of_another_type_is_not_the_same(value: object, expected: object) -> None:
    assert not same(value, expected)
    assert not same(value, expected, rel=0.5, abs=100.0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, 1.0),
        (math.inf, 1.0),
        (-math.inf, math.inf),
        ([1.0, math.nan], [1.0, 2.0]),
        (np.array([np.nan, 1.0]), np.array([1.0, 1.0])),
        (np.array([np.inf]), np.array([1.0])),
        (complex(math.nan, 1), complex(1, 1)),
        (np.float64("nan"), np.float64(1)),
        (Tensor(np.array([np.nan])), Tensor(np.array([1.0]))),
    ],
    ids=str,
)
def test_no_tolerance_makes_a_number_of_what_is_none(value: object, expected: object) -> None:
    assert not same(value, expected, rel=0.9, abs=1e300)


def test_the_expected_infinity_is_accepted_and_zero_has_no_sign() -> None:
    assert same([math.inf, -math.inf], [math.inf, -math.inf])
    assert same(-0.0, 0.0)
    assert same(np.array([-0.0]), np.array([0.0]))


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_texts_are_compared_code_point_by_code_point(form: Any) -> None:
    text = "é\u2126"  # no form leaves it alone in composed and in decomposed letters
    assert same(unicodedata.normalize(form, text), text) == (
        unicodedata.normalize(form, text) == text
    )
    for other in ("oslo\0", "os\u200blo", "\u202eoslo", "οslo", "Oslo", "oslo "):
        assert not same(other, "oslo")


def test_a_tolerance_is_relative_to_the_expected_value_and_not_to_the_students() -> None:
    assert same(100.9, 100.0, rel=0.01)  # by hand: 0.9 <= 1
    assert not same(101.1, 100.0, rel=0.01)
    assert not same(100.0, 51.0, rel=0.5)  # by hand: 49 > 25.5; half of the larger one is 50
    assert not same(np.array([100.0]), np.array([51.0]), rel=0.5)
    assert same(1e-9, 0.0, abs=1e-8)
    assert not same(1e-9, 0.0, rel=0.5)
    assert same(np.array([1.0, 200.0]), np.array([1.009, 200.9]), rel=0.01)
    assert not same(np.array([1.1, 200.0]), np.array([1.0, 200.0]), rel=0.01)


def test_whole_numbers_have_no_tolerance() -> None:
    assert not same(10**6 + 1, 10**6, rel=0.1, abs=5.0)
    assert not same(np.array([3]), np.array([4]), rel=0.5, abs=5.0)
    assert same(2**200, 2**200)


@pytest.mark.parametrize(
    "nothing",
    [[], (), {}, frozenset(), [[], ()], np.zeros(0), np.zeros((3, 0)), Tensor(np.zeros(0))],
    ids=repr,
)
def test_nothing_is_compared_with_nothing_only_if_that_is_meant(nothing: Any) -> None:
    with pytest.raises(GraderFault, match="without a single item"):
        same(copy.deepcopy(nothing), nothing)
    assert same(copy.deepcopy(nothing), nothing, empty=True)


@pytest.mark.parametrize("value", [[], {}, frozenset(), np.zeros((0, 2)), "", None])
def test_nothing_is_not_the_same_as_something(value: object) -> None:
    for expected in ([1], {1: 2}, {1}, np.zeros((2, 2)), "a", 0):
        assert not same(value, expected)


@pytest.mark.parametrize(
    ("expected", "problem"),
    [
        (math.nan, "not a number"),
        ([1.0, math.nan], "not a number"),
        (np.array([np.nan]), "not a number"),
        (object(), "type object"),
        (np.array(["a"]), "array of <U1"),
    ],
)
def test_an_expected_value_that_nothing_could_equal_is_the_graders_fault(
    expected: Any, problem: str
) -> None:
    with pytest.raises(GraderFault, match=problem):
        same(expected, expected)


@pytest.mark.parametrize(
    "bad", [{"rel": 1.0}, {"rel": -0.1}, {"abs": math.inf}, {"abs": math.nan}, {"rel": math.nan}]
)
def test_a_tolerance_that_accepts_everything_is_the_graders_fault(bad: dict[str, float]) -> None:
    with pytest.raises(GraderFault, match="tolerance"):
        same(1.0, 1.0, **bad)  # type: ignore[arg-type]
    with pytest.raises(GraderFault, match="tolerance"):
        close(np.ones(1), np.ones(1), **({"rel": 0.1} | bad))


class Counts(list[int]):
    """A list that counts how often it is looked into."""

    looks = 0

    def __iter__(self) -> Any:
        for item in super().__iter__():
            Counts.looks += 1
            yield item


def test_the_work_is_bounded_by_the_expected_value() -> None:
    Counts.looks = 0
    assert not same(Counts(range(1000)), Counts([1, 2, 3]))
    assert not same({n: n for n in range(1000)}, {1: 1})
    assert Counts.looks <= 3


# norms


def test_arrays_are_close_by_the_norm_of_their_difference() -> None:
    # by hand: the norm of (3, 4) is 5; the difference of (0, 0.04) is 0.8 % of it
    right = np.array([3.0, 4.0])
    assert close(np.array([3.0, 4.04]), right, rel=0.0081)
    assert not close(np.array([3.0, 4.04]), right, rel=0.0079)
    assert close([np.array([[3.0]]), np.array([4.04])], [np.array([[3.0]]), np.array([4.0])],
                 rel=0.0081)  # fmt: skip
    assert close(np.array([0.0, 1e-12]), np.zeros(2), rel=0.1, abs=1e-11)


@pytest.mark.parametrize(
    "value",
    [
        np.array([3.0, np.nan]),
        np.array([3.0, np.inf]),
        np.array([3.0, 4.0], np.float32),
        np.array([3, 4]),
        np.array([3.0, 4.0, 0.0]),
        np.array([[3.0, 4.0]]),
        np.array([3.0]),
        np.zeros(0),
        [],
        [3.0, 4.0],
        [np.array([3.0]), np.array([4.0])],
        None,
        "34",
        np.array([1e308, -1e308]),
    ],
    ids=repr,
)
def test_what_is_not_an_array_of_that_form_and_finite_is_not_close(value: Any) -> None:
    assert not close(value, np.array([3.0, 4.0]), rel=0.5)


@pytest.mark.parametrize(
    "expected",
    [
        [],
        np.zeros(0),
        [np.zeros(0)],
        np.array([np.nan]),
        np.array([np.inf]),
        [1.0],
        np.full(4, 1e200),
    ],
)
def test_arrays_that_judge_nobody_are_the_graders_fault(expected: Any) -> None:
    with pytest.raises(GraderFault):
        close(expected, expected, rel=0.1)
