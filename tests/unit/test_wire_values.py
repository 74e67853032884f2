"""Plain values on the wire: exact types come back, and hostile trees become a WireError."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shardwork.wire import Opaque, Ref, Tensor, WireError, from_wire, to_wire, values

pytestmark = pytest.mark.unit

BOUND_BITS = 3000


def travel(value: object) -> Any:
    """Send a value through real bytes, as a connection does."""
    return from_wire(msgspec.msgpack.decode(msgspec.msgpack.encode(to_wire(value))))


def same(a: Any, b: Any) -> bool:  # noqa: PLR0911 - one return for each kind of value
    """Whether two values are equal with equal types all the way down (NaN equals NaN)."""
    if isinstance(a, (set, frozenset)):  # the wire has one kind of set
        return isinstance(b, frozenset) and a == b and _types(a) == _types(b)
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b, equal_nan=True)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return same(list(a.items()), list(b.items()))
    if isinstance(a, Tensor):
        return same(a.array, b.array)
    if isinstance(a, (complex, np.complexfloating)):
        return same(float(a.real), float(b.real)) and same(float(a.imag), float(b.imag))
    if isinstance(a, (float, np.floating)):
        both_nan = math.isnan(a) and math.isnan(b)
        return both_nan or (a == b and math.copysign(1, a) == math.copysign(1, b))
    return bool(a == b)


def _types(items: frozenset[Any] | set[Any]) -> list[str]:
    return sorted(type(item).__name__ for item in items)


dtypes = st.sampled_from(
    [
        "?",
        "<i1",
        "<i2",
        "<i4",
        "<i8",
        "<u1",
        "<u2",
        "<u4",
        "<u8",
        "<f2",
        "<f4",
        "<f8",
        "<c8",
        "<c16",
    ]
)
arrays = dtypes.flatmap(
    lambda dtype: hnp.arrays(
        dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
    )
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
hashable = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(2**300), max_value=2**300),
    st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    texts,
    st.binary(max_size=20),
)
leaves = st.one_of(
    hashable,
    st.floats(),
    st.complex_numbers(),
    arrays,
    arrays.map(Tensor),
    dtypes.flatmap(lambda dtype: hnp.arrays(dtype, 1)).map(lambda array: array[0]),
    st.builds(Ref, texts, st.integers(0, 2**63 - 1)),
    st.builds(Opaque, texts),
)
plain_values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(hashable, inner, max_size=4),
        st.frozensets(hashable, max_size=4),
        st.sets(hashable, max_size=4),
    ),
    max_leaves=12,
)


@given(plain_values)
@example([True, 1, 1.0, np.int64(1), np.float64(1.0), np.bool_(True), "1", b"1", (1,), [1]])
@example([2**63 - 1, 2**63, -(2**63), -(2**63) - 1, -0.0, math.inf, -math.inf, math.nan])
@example({1: "a", (1, 2): "b", None: "c"})
def test_a_value_comes_back_equal_and_of_exactly_the_same_types(value: object) -> None:
    assert same(value, travel(value))


def test_an_array_of_any_layout_or_byte_order_comes_back_with_its_values_and_shape() -> None:
    grid = np.arange(24, dtype=">i4").reshape(2, 3, 4)
    for array in (
        grid,
        grid.T,
        grid[:, ::2],
        np.asfortranarray(grid),
        grid[:0],
        np.array(7, ">f8"),
    ):
        back = travel(array)
        assert back.shape == array.shape
        assert back.tolist() == array.tolist()
        assert back.dtype == array.dtype.newbyteorder("<")


def test_an_array_that_has_arrived_may_be_written_to() -> None:
    back = travel(np.zeros(3))
    back += 1
    assert back.tolist() == [1.0, 1.0, 1.0]


def test_half_a_surrogate_pair_is_replaced_because_utf_8_cannot_carry_it() -> None:
    assert travel("a\ud800b") == "a?b"


def test_an_object_outside_the_closed_set_is_refused_or_left_to_the_caller() -> None:
    with pytest.raises(WireError, match="OrderedDict cannot travel"):
        to_wire([OrderedDict(a=1)])
    tree = to_wire([OrderedDict(a=1)], other=dict)  # type: ignore[call-overload]
    assert from_wire(tree) == [{"a": 1}]


@pytest.mark.parametrize(
    "value",
    [
        np.array([object()]),
        np.array(["text"]),
        np.datetime64("2027-01-01"),
        np.array([(1,)], "i4,"),
    ],
    ids=["objects", "texts", "date", "record"],
)
def test_an_array_that_does_not_hold_numbers_does_not_travel(value: object) -> None:
    with pytest.raises(WireError, match="cannot travel"):
        to_wire(value)


def test_a_stand_in_that_never_becomes_plain_ends_at_the_depth_bound() -> None:
    with pytest.raises(WireError, match="nested deeper"):
        to_wire(object(), other=lambda value: object())


def test_references_and_tensors_are_handed_to_the_callers_functions() -> None:
    tree = to_wire([Ref("spark.rdd", 3), Tensor(np.ones(2))])
    got = from_wire(tree, ref=lambda ref: ref.id, tensor=lambda tensor: tensor.array.sum())
    assert got == [3, 2.0]


# bounds -------------------------------------------------------------------------------------------


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


def test_depth_is_bounded_both_ways_at_the_same_place() -> None:
    assert travel(nested(values.MAX_DEPTH)) == nested(values.MAX_DEPTH)
    with pytest.raises(WireError, match="nested deeper than 24"):
        to_wire(nested(values.MAX_DEPTH + 1))
    tree: Any = 1
    for _ in range(values.MAX_DEPTH + 1):
        tree = ["l", tree]
    with pytest.raises(WireError, match="nested deeper than 24"):
        from_wire(tree)


def test_a_list_that_holds_itself_ends_at_the_depth_bound() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(WireError, match="nested deeper"):
        to_wire(value)


def test_the_number_of_items_is_bounded_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "MAX_ITEMS", 100)
    assert travel(list(range(99))) == list(range(99))  # the list itself counts
    with pytest.raises(WireError, match="more than 100 items"):
        to_wire(list(range(100)))
    with pytest.raises(WireError, match="more than 100 items"):
        from_wire(["l", *range(100)])
    with pytest.raises(WireError, match="more than 100 items"):
        to_wire([[0] * 50] * 3)


@pytest.mark.parametrize("text", ["x" * 11, b"x" * 11], ids=["str", "bytes"])
def test_the_length_of_a_text_is_bounded_both_ways(
    text: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values, "MAX_TEXT", 10)
    with pytest.raises(WireError, match="longer than 10"):
        to_wire(text)
    with pytest.raises(WireError, match="longer than 10"):
        from_wire(["l", text])


def test_an_int_is_bounded_both_ways() -> None:
    assert travel(2**BOUND_BITS - 1) == 2**BOUND_BITS - 1
    with pytest.raises(WireError, match="3000 bits"):
        to_wire(2**BOUND_BITS)
    with pytest.raises(WireError, match="1000 digits"):
        from_wire(["i", "f" * 1001])


# Keys that were made to share one hash, by the rules of CPython 3.11 (Objects/longobject.c,
# complexobject.c): a dict of them takes time with the square of their number.
COLLIDING: dict[str, list[Any]] = {
    "large ints": [["i", hex(n * (2**61 - 1))] for n in range(100, 30_100)],
    "complex": [["c", -1000003.0 * n, float(n)] for n in range(30_000)],
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("keys", COLLIDING.values(), ids=COLLIDING.keys())
def test_keys_that_share_a_hash_cost_no_time(keys: list[Any]) -> None:
    assert len({hash(from_wire(key)) for key in keys}) == 1
    with pytest.raises(WireError, match="keys with one hash"):
        from_wire(["s", *keys])
    with pytest.raises(WireError, match="keys with one hash"):
        from_wire(["d", *(part for key in keys for part in (key, 1))])
    assert len(from_wire(["s", *keys[: values.MAX_SAME_HASH]])) == values.MAX_SAME_HASH


def test_keys_that_no_one_made_to_collide_are_accepted_in_any_number() -> None:
    numbers = {float(n) * 2.0**k for n in range(1, 40) for k in range(-500, 500)}
    pairs = {(f"w{n}", n): n for n in range(30_000)}
    for value in (numbers, pairs, set(range(-20_000, 20_000)), {np.int64(n) for n in range(999)}):
        assert travel(value) == value


@pytest.mark.parametrize(
    "tree",
    [
        ["d", 1, "a", 1, "b"],
        ["d", 1, "a", True, "b"],
        ["d", "k", 1, "k", 1],
        ["d", ["t", 1], 1, ["t", 1.0], 2],
        ["s", 1, 1],
        ["s", 0.0, -0.0],
    ],
    ids=str,
)
def test_a_key_may_be_there_once(tree: object) -> None:
    """A Python dict or set never has equal keys: somebody wrote these bytes."""
    with pytest.raises(WireError, match="twice"):
        from_wire(tree)


def test_a_long_double_does_not_travel_because_its_bytes_mean_something_else_elsewhere() -> None:
    for value in (np.longdouble(1), np.zeros(2, np.longdouble), np.clongdouble(1)):
        with pytest.raises(WireError, match="cannot travel"):
            to_wire(value)


@pytest.mark.parametrize(
    ("tree", "reason"),
    [
        ([], "without a tag"),
        ([1], "without a tag"),
        ({}, "a bare dict"),
        (object(), "a bare object"),
        (["zzz"], "unknown tag"),
        (["T"], "tag 'T'"),
        (["d", 1], "a key and no value"),
        (["d", ["l"], 1], "tag 'd'"),
        (["s", ["l"]], "tag 's'"),
        (["i", "12x"], "tag 'i'"),
        (["i", 12], "large int"),
        (["c", "1", "2"], "complex"),
        (["c", 10**400, 0], "complex"),
        (["r", "kind", True], "reference"),
        (["r", "kind"], "tag 'r'"),
        (["o", 5], "opaque"),
        (["g", "<f8", b"1"], "do not fit"),
        (["n", "<f8", [2], b"12345678"], "do not fit"),
        (["n", "<f8", [-1], b""], "impossible shape"),
        (["n", "<f8", [True], b"12345678"], "impossible shape"),
        (["n", "<f8", [2**40], b""], "impossible shape"),
        (["n", "<f8", [2**20, 2**20], b""], "impossible shape"),
        (["n", "<f8", [0, 2**26, 2**26, 2**26], b""], "tag 'n'"),
        (["n", "<f8", [1] * 17, b"12345678"], "rank"),
        (["n", "|O8", [1], b"12345678"], "does not travel"),
        (["n", "|V8", [1], b"12345678"], "does not travel"),
        (["n", "(2,)f4", [1], b"12345678"], "does not travel"),
        (["n", "3)", [1], b"12345678"], "does not travel"),  # numpy: SyntaxError
        (["n", "a", [1], b"12345678"], "does not travel"),  # numpy: DeprecationWarning
        (["n", "<f99", [1], b"12345678"], "does not travel"),
        (["n", "<f16", [1], b"1234567812345678"], "does not travel"),
    ],
)
def test_a_malformed_tree_is_a_wire_error_that_says_what_is_wrong(
    tree: object, reason: str
) -> None:
    with pytest.raises(WireError, match=reason):
        from_wire(tree)


atoms = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**300, max_value=10**310),
    st.floats(),
    st.text(max_size=6),
    st.text("<>|=?biufcOSUVmMa(),0123456789[]{}' ", max_size=6),
    st.binary(max_size=16),
    st.sampled_from(["l", "t", "d", "s", "i", "c", "n", "g", "T", "r", "o", "<f8", "0x1f"]),
)
trees = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.tuples(st.sampled_from("ltdsicngTro"), st.lists(inner, max_size=5)).map(
            lambda pair: [pair[0], *pair[1]]
        ),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
    ),
    max_leaves=20,
)


@given(trees)
def test_an_arbitrary_tree_is_a_value_or_a_wire_error_and_nothing_else(tree: object) -> None:
    try:
        value = from_wire(tree)
    except WireError:
        return
    assert same(value, travel(value)) or not _equals_itself(value)


@given(st.text(max_size=8), st.lists(st.integers(-1, 4), max_size=3), st.binary(max_size=16))
@example("3)", [1], b"")
@example("a", [1], b"12345678")
def test_an_array_of_any_claimed_type_and_shape_is_an_array_or_a_wire_error(
    dtype: str, shape: list[int], raw: bytes
) -> None:
    try:
        array = from_wire(["n", dtype, shape, raw])
    except WireError:
        return
    assert array.tobytes() == raw
    assert list(array.shape) == shape


def _equals_itself(value: object) -> bool:
    """Whether `same` can compare a value: a frozenset with NaN in it never equals a copy."""
    return same(value, value) and "nan" not in repr(value)
