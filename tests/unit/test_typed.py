"""`typed` and `handle`: a value is of the kind asked for, or the check has failed."""

from __future__ import annotations

import enum
import math
from typing import Any, Literal

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardwork.grading import Delayed, Rdd, StudentFault, typed
from shardwork.judge.handle import describe_type, handle
from shardwork.record import Cause
from shardwork.wire import Opaque, Ref, Tensor

pytestmark = pytest.mark.unit


class Stats(msgspec.Struct):
    count: int
    mean: float


class Closed(msgspec.Struct, forbid_unknown_fields=True):
    count: int = 0


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, int),
        (1.5, float),
        ("a", str),
        (True, bool),
        (None, type(None)),
        ([1, 2], list[int]),
        ((1, "a"), tuple[int, str]),
        ({"a": [1]}, dict[str, list[int]]),
        ({1: 2.0}, dict[int, float]),
        ([("a", 1)], list[tuple[str, int]]),
        ("on", Literal["on", "off"]),
        (None, int | None),
        (b"ab", bytes),
    ],
)
def test_a_value_of_the_kind_asked_for_is_returned_unchanged(value: object, kind: Any) -> None:
    got = typed(value, kind)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("value", "kind", "place"),
    [
        (1, str, "`str`, got `int`"),
        ("1", int, "`int`, got `str`"),
        (True, int, "`int`, got `bool`"),
        (1, bool, "`bool`, got `int`"),
        (1.0, int, "`int`, got `float`"),
        (True, float, "`float`, got `bool`"),
        (None, int, "`int`, got `None`"),
        ([1, "2"], list[int], "at `result[1]`"),
        ({"a": None}, dict[str, int], "at `result[...]`"),
        ((1,), tuple[int, int], "length 2"),
        ({"count": 1}, Stats, "missing required field `mean`"),
        ({"count": 1.5, "mean": 1.0}, Stats, "at `result.count`"),
        (Opaque("pandas.DataFrame"), list[int], "`list`, got"),
        (Ref("spark.rdd", 1), list[int], "`list`, got"),
        ([Opaque("object")], list[int], "at `result[0]`"),
        ("text", list[str], "`list`, got `str`"),
        (b"bytes", list[int], "`list`, got `bytes`"),
        ([1.0], np.ndarray, "`ndarray`, got `list`"),
        (None, np.ndarray, "`ndarray`, got `NoneType`"),
        ([np.zeros(2), 3], list[np.ndarray], "at `result[1]`"),
    ],
)
def test_a_value_of_another_kind_fails_the_check_and_names_the_place(
    value: object, kind: Any, place: str
) -> None:
    with pytest.raises(StudentFault) as raised:
        typed(value, kind)
    assert raised.value.cause is Cause.WRONG_TYPE
    assert place in str(raised.value.evidence["problem"])


@given(st.text(min_size=4, max_size=30))
def test_the_message_never_holds_the_value(secret: str) -> None:
    with pytest.raises(StudentFault) as raised:
        typed([f"{secret}!"], list[int])
    assert f"{secret}!" not in str(raised.value.evidence) + raised.value.message


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("hidden-input", Literal["on", "off"]),
        ("hidden-input - at `$.x`", Literal["on", "off"]),
        ("hidden-input", Colour),
        ({"hidden-input": 1}, dict[Literal["a"], int]),
        (["on", "hidden-input"], list[Literal["on", "off"]]),
        ({"hidden-input": 1}, Closed),
    ],
)
def test_a_value_that_is_none_of_those_possible_is_not_repeated(value: object, kind: Any) -> None:
    """A student may return what the call was given, to read it in the feedback."""
    with pytest.raises(StudentFault) as raised:
        typed(value, kind)
    assert raised.value.evidence == {"problem": "it is none of the values that are possible"}


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (10**400, float),
        (10**400, bool),
        (-(10**400), float),
        (1e300, int),
        (math.inf, int),
        ({Tensor(np.zeros(2)): 1}, dict[str, int]),
        ({(Tensor(np.zeros(2)),): 1}, dict[str, int]),
        ({Opaque("a"): 1}, dict[str, int]),
        ({None: 1}, dict[str, int]),
        (frozenset({1}), set[int]),
        (complex(1, 2), float),
    ],
    ids=str,
)
def test_whatever_comes_over_the_wire_is_of_a_kind_or_the_students_fault(
    value: object, kind: Any
) -> None:
    with pytest.raises(StudentFault):
        typed(value, kind)


def test_a_large_int_stays_exact() -> None:
    assert typed(10**400, int) == 10**400


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (np.int64(3), int, 3),
        (np.uint8(3), int, 3),
        (np.float32(0.5), float, 0.5),
        (np.bool_(True), bool, True),
        ([np.int64(1), 2], list[int], [1, 2]),
        ({np.int32(1): np.float64(2.0)}, dict[int, float], {1: 2.0}),
    ],
)
def test_a_numpy_number_counts_as_the_python_number_it_holds(
    value: object, kind: Any, expected: object
) -> None:
    got = typed(value, kind)
    assert got == expected
    assert type(got) is type(expected)


def test_a_numpy_number_is_as_strict_as_a_python_number() -> None:
    for value, kind in ((np.float64(1.0), int), (np.bool_(True), int), (np.int64(1), str)):
        with pytest.raises(StudentFault):
            typed(value, kind)


def test_an_array_and_a_tensor_are_both_arrays_with_their_dtype() -> None:
    array = np.arange(3, dtype=np.float32)
    assert typed(array, np.ndarray) is array
    assert typed(Tensor(array), np.ndarray) is array
    assert [type(item) for item in typed([Tensor(array), array], list[np.ndarray])] == [
        np.ndarray
    ] * 2


def test_a_set_is_no_list_because_it_has_no_order() -> None:
    with pytest.raises(StudentFault):
        typed(frozenset({1, 2}), list[int])


def test_a_number_that_is_no_number_stays_one() -> None:
    assert np.isnan(typed(float("nan"), float))


# handles ----------------------------------------------------------------------------------------


def wrap(value: object, kind: type[Any]) -> Any:
    return handle(None, value, kind, "tree")  # type: ignore[arg-type] # nothing is asked here


def test_a_reference_of_the_right_kind_becomes_its_handle() -> None:
    made = wrap(Ref("dask.delayed", 5), Delayed)
    assert isinstance(made, Delayed)
    assert made.ref == Ref("dask.delayed", 5)


@pytest.mark.parametrize(
    ("value", "kind", "wanted", "found"),
    [
        (Ref("dask.bag", 1), Delayed, "a Delayed", "a Dask bag"),
        (Ref("spark.frame", 1), Rdd, "an RDD", "a Spark DataFrame"),
        (Ref("something.new", 1), Rdd, "an RDD", "an object"),
        (Opaque("pandas.core.frame.DataFrame"), Rdd, "an RDD", "a `DataFrame`"),
        (None, Delayed, "a Delayed", "nothing (None)"),
        ([1], Delayed, "a Delayed", "a `list`"),
    ],
)
def test_anything_else_fails_the_check_and_says_what_was_found(
    value: object, kind: type[Any], wanted: str, found: str
) -> None:
    with pytest.raises(StudentFault) as raised:
        wrap(value, kind)
    assert raised.value.cause is Cause.WRONG_TYPE
    assert raised.value.evidence == {"name": "tree", "wanted": wanted, "found": found}


def test_a_type_name_that_a_student_chose_is_bounded() -> None:
    assert len(describe_type(Opaque("m." + "x" * 199))) <= 70
