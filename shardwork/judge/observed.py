"""Hold what came out of a sandbox against a type, or against an expected value.

`==` between two observations asks too little: `True == 1`, `1 == 1.0`, and nothing equals nothing.
Here types are exact, numbers finite, tolerances stated and relative to the expected value alone,
and the work is bounded by the size of the expected value, which is the grader's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from typing import Any, TypeVar

import msgspec
import numpy as np

from shardwork.judge.faults import GraderFault, StudentFault
from shardwork.record import Cause
from shardwork.wire import Tensor

T = TypeVar("T")

_OF_TYPES = ("Expected ", "Object missing required field ", "Number out of range")
"""How msgspec begins a sentence that speaks of types, lengths and the grader's own field names."""


def typed(value: object, kind: type[T]) -> T:
    """Return `value` as `kind`, strictly: no int for a str, no bool for an int, no missing item.

    NumPy numbers count as the Python numbers they hold. Raises StudentFault naming the place.
    """
    if kind is np.ndarray:
        value = value.array if isinstance(value, Tensor) else value
        if isinstance(value, np.ndarray):
            return value  # type: ignore[return-value]
    try:
        return msgspec.convert(_plain(value), kind, dec_hook=_arrays)
    except msgspec.ValidationError as error:
        raise StudentFault(
            Cause.WRONG_TYPE, "The result has another form than asked: {problem}.",
            evidence={"problem": _in_python(str(error))},
        ) from None  # fmt: skip


def same(
    value: object, expected: object, *, rel: float = 0.0, abs: float = 0.0, empty: bool = False
) -> bool:
    """Whether `value` is `expected`, with exactly its types all the way down.

    Floats may differ by `rel` times the expected one or by `abs`, whichever is more; a NaN is
    nothing, and 0.0 and -0.0 are the same. Texts are compared code point by code point. Arrays have
    the same shape and dtype. The order of a dict does not matter.

    Raises GraderFault if the comparison could not fail or not succeed: an expected value without a
    single item (unless `empty` says that this is meant), one that holds a NaN, or of another type
    than travels.
    """
    tolerance = _Tolerance(rel, abs)
    if not empty and not _has_items(expected):
        raise GraderFault("an expected value without a single item: say empty=True if it is meant")
    return _equal(value, expected, tolerance)


def close(
    value: np.ndarray[Any, Any] | Sequence[np.ndarray[Any, Any]],
    expected: np.ndarray[Any, Any] | Sequence[np.ndarray[Any, Any]],
    *,
    rel: float,
    abs: float = 0.0,
) -> bool:
    """Whether an array, or a list of them taken as one vector, is near the expected one.

    The norm of the difference is at most `rel` times the norm of what is expected, or `abs`,
    whichever is more. Shapes and dtypes are the same, and every number is finite. Raises
    GraderFault if the expected arrays hold no number, or one that is not finite.
    """
    tolerance = _Tolerance(rel, abs)
    right, found = _arrays_of(expected), _arrays_of(value)
    if not right or not any(array.size for array in right):
        raise GraderFault("expected arrays without a single number")
    wanted = np.concatenate([_wide(array).ravel() for array in right])
    with np.errstate(over="ignore", invalid="ignore"):
        norm = float(np.linalg.norm(wanted))
        if not math.isfinite(norm):
            raise GraderFault("an expected number that is not finite, or too large for a norm")
        forms = [(array.shape, array.dtype) for array in right]
        if found is None or [(array.shape, array.dtype) for array in found] != forms:
            return False
        off = np.concatenate([_wide(array).ravel() for array in found]) - wanted
        # The norm of what holds a NaN or an infinity is neither below nor at any tolerance.
        return bool(np.linalg.norm(off) <= tolerance.at(norm))


class _Tolerance(msgspec.Struct, frozen=True):
    rel: float
    abs: float

    def __post_init__(self) -> None:
        if not (0 <= self.rel < 1 and 0 <= self.abs < math.inf):
            raise GraderFault(f"a tolerance of rel={self.rel}, abs={self.abs}")

    def at(self, expected: float) -> float:
        """Return how far a value may be from `expected`, a number not below zero."""
        return max(self.rel * expected, self.abs)


def _equal(value: Any, expected: Any, tolerance: _Tolerance) -> bool:
    if isinstance(expected, (set, frozenset)):  # the wire has one kind of set
        return isinstance(value, (set, frozenset)) and _keys(value) == _keys(expected)
    if type(value) is not type(expected):
        return False
    match expected:
        case list() | tuple():
            pairs = zip(value, expected, strict=False)
            equal = len(value) == len(expected) and all(_equal(v, e, tolerance) for v, e in pairs)
        case dict():
            equal = _same_items(value, expected, tolerance)
        case np.ndarray():
            same_form = value.dtype == expected.dtype and value.shape == expected.shape
            equal = same_form and _near(value, expected, tolerance)
        case Tensor():
            equal = _equal(value.array, expected.array, tolerance)
        case float() | complex() | np.inexact():
            equal = _near(np.asarray(value), np.asarray(expected), tolerance)
        case None | bool() | int() | str() | bytes() | np.bool_() | np.integer():
            equal = bool(value == expected)
        case _:
            raise GraderFault(f"an expected value of type {type(expected).__name__}")
    return equal


def _same_items(
    value: Mapping[Any, Any], expected: Mapping[Any, Any], tolerance: _Tolerance
) -> bool:
    if len(value) != len(expected):
        return False
    found = {_key(key): item for key, item in value.items()}
    return all(
        (k := _key(key)) in found and _equal(found[k], item, tolerance)
        for key, item in expected.items()
    )


def _keys(items: Set[object]) -> set[object]:
    return {_key(item) for item in items}


def _key(key: object) -> object:
    """Return a key that is equal only to those of the same type: `True` and `1` are not."""
    if isinstance(key, tuple):
        return (tuple, tuple(_key(item) for item in key))
    if isinstance(key, frozenset):
        return (frozenset, frozenset(_key(item) for item in key))
    return (type(key), key)


def _near(
    value: np.ndarray[Any, Any], expected: np.ndarray[Any, Any], tolerance: _Tolerance
) -> bool:
    if expected.dtype.kind not in "biufc":
        raise GraderFault(f"an expected array of {expected.dtype}")
    equal = value == expected  # infinities, and all there is to say of whole numbers
    if expected.dtype.kind in "fc":
        if np.isnan(expected).any():
            raise GraderFault("an expected number that is not a number")
        wide, wanted = _wide(value), _wide(expected)
        with np.errstate(over="ignore", invalid="ignore"):
            most = np.maximum(tolerance.rel * np.abs(wanted), tolerance.abs)
            finite = np.isfinite(wide) & np.isfinite(wanted)
            equal = equal | (finite & (np.abs(wide - wanted) <= most))
    return bool(np.all(equal))


def _wide(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def _arrays_of(value: object) -> list[np.ndarray[Any, Any]] | None:
    """Return an array, or a list or tuple of arrays of numbers, as a list; None for the rest."""
    items = [value] if isinstance(value, np.ndarray) else value
    if not isinstance(items, (list, tuple)):
        return None
    arrays = [item for item in items if isinstance(item, np.ndarray) and item.dtype.kind in "biufc"]
    return arrays if len(arrays) == len(items) else None


def _has_items(expected: object) -> bool:
    if isinstance(expected, Tensor):
        return expected.array.size > 0
    if isinstance(expected, np.ndarray):
        return expected.size > 0
    if isinstance(expected, dict):
        return bool(expected)
    if isinstance(expected, (list, tuple, set, frozenset)):
        return any(_has_items(item) for item in expected)
    return True


def _in_python(problem: str) -> str:
    """Say msgspec's sentence in the words of Python: `null` is None, an `array` is a list.

    What speaks of a value (one that is none of those that are possible) is not repeated: the value
    may be an argument of the call.
    """
    if not problem.startswith(_OF_TYPES):
        return "it is none of the values that are possible"
    words = {"$": "result", "`null`": "`None`", "`array`": "`list`", "`object`": "`dict`"}
    for theirs, ours in words.items():
        problem = problem.replace(theirs, ours)
    return problem


def _plain(value: object) -> object:
    """Return a value that came over the wire as `msgspec.convert` should see it."""
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item) for item in value)
    if isinstance(value, dict):
        return {_plain_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Tensor):
        return value.array
    if isinstance(value, frozenset):
        return _SET
    return value.item() if isinstance(value, np.generic) else value


def _plain_key(key: object) -> object:
    plain = _plain(key)
    try:
        hash(plain)
    except TypeError:  # a tensor is hashable, and its array is not
        return key
    return plain


# Stands for a set, which msgspec would take for a list: it has no order to compare.
_SET = type("set", (), {})()


def _arrays(kind: type, value: object) -> object:
    if kind is np.ndarray and isinstance(value, np.ndarray):
        return value
    # msgspec turns a TypeError into a ValidationError that names the place.
    raise TypeError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")
