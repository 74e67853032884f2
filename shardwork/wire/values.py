"""Plain values on the wire: a closed set of types, with exact types kept.

A scalar (None, bool, int of 64 bits, float, str, bytes) stands for itself. Everything else is an
array whose first item is a tag: `["l", ...]` list, `["t", ...]` tuple, `["d", k, v, ...]` dict,
`["s", ...]` set, `["i", "123..."]` large int, `["c", re, im]` complex, `["n", dtype, shape, bytes]`
NumPy array, `["g", dtype, bytes]` NumPy scalar, `["T", dtype, shape, bytes]` torch tensor,
`["r", kind, id]` reference to an object that stays in the sandbox, `["o", type, text]` an object
that does not travel. Tuples and lists, ints and bools, Python and NumPy numbers stay different.

Size and depth are bounded on the way out as on the way in. So is the work: keys that were made to
have one hash would turn a dict into a list that is searched from its beginning for each of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence, Sized
from typing import Any

import msgspec
import numpy as np

MAX_DEPTH = 24
MAX_ITEMS = 2_000_000
MAX_TEXT = 8 << 20
MAX_SAME_HASH = 64
"""Keys of one dict, or elements of one set, that may share a hash. 34 floats do by their nature."""
_INT64 = range(-(2**63), 2**63)
# np.dtype() would evaluate parts of a longer text ("(2,)f8"), and warn of retired names. A long
# double is not among them: what it holds depends on the machine, and it is no Python number.
_DTYPES = {
    name: np.dtype(name)
    for name in ("|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8",
                 "<f2", "<f4", "<f8", "<c8", "<c16")
}  # fmt: skip


class WireError(Exception):
    """Bytes or a value that the protocol does not allow."""


class Ref(msgspec.Struct, frozen=True):
    """An object that stays where it was made; `kind` names its framework type (`spark.rdd`)."""

    kind: str
    id: int


class Opaque(msgspec.Struct, frozen=True):
    """An object of a type that does not travel: only the name of its type does."""

    type: str


class Tensor(msgspec.Struct, frozen=True, eq=False):
    """A torch tensor, as its values: `array` has the tensor's shape and dtype."""

    array: np.ndarray[Any, Any]


def to_wire(value: object, *, other: Callable[[object], object] | None = None) -> Any:
    """Turn `value` into the wire form.

    `other` is asked about an object of a type outside the closed set, and returns a `Ref`, an
    `Opaque`, a `Tensor` or plain data in its place; without it such an object is a WireError.
    """
    return _Writer(other).write(value, 0)


def from_wire(
    tree: object,
    *,
    ref: Callable[[Ref], object] | None = None,
    tensor: Callable[[Tensor], object] | None = None,
) -> Any:
    """Rebuild the value of a wire form; `ref` and `tensor` replace those leaves.

    Raises WireError for an unknown tag, a wrong shape, or anything above the bounds.
    """
    return _Reader(ref, tensor).read(tree, 0)


class _Counted:
    def __init__(self) -> None:
        self.items = 0

    def count(self, depth: int) -> None:
        self.items += 1
        if self.items > MAX_ITEMS:
            raise WireError(f"more than {MAX_ITEMS} items in one value")
        if depth > MAX_DEPTH:
            raise WireError(f"a value nested deeper than {MAX_DEPTH}")


class _Writer(_Counted):
    def __init__(self, other: Callable[[object], object] | None) -> None:
        super().__init__()
        self._other = other
        self._by_type: dict[type, Callable[[Any, int], Any]] = {
            type(None): lambda value, depth: value,
            bool: lambda value, depth: value,
            float: lambda value, depth: value,
            int: lambda value, depth: value if value in _INT64 else ["i", _digits(value)],
            str: lambda value, depth: _clean(_bounded(value)),
            bytes: lambda value, depth: _bounded(value),
            complex: lambda value, depth: ["c", value.real, value.imag],
            list: lambda value, depth: ["l", *self._all(list(value), depth)],
            tuple: lambda value, depth: ["t", *self._all(value, depth)],
            set: lambda value, depth: ["s", *self._all(list(value), depth)],
            frozenset: lambda value, depth: ["s", *self._all(value, depth)],
            dict: lambda value, depth: [
                "d",
                *self._all([x for pair in list(value.items()) for x in pair], depth),
            ],
            Tensor: lambda value, depth: ["T", *_array_parts(value.array)],
            Ref: lambda value, depth: ["r", value.kind, value.id],
            Opaque: lambda value, depth: ["o", value.type[:200]],
        }

    def write(self, value: object, depth: int) -> Any:
        self.count(depth)
        known = self._by_type.get(type(value))
        if known is not None:
            return known(value, depth + 1)
        if type(value) is np.ndarray and _travels(value.dtype):
            return ["n", *_array_parts(value)]
        if isinstance(value, np.generic) and _travels(value.dtype):
            return ["g", *_array_parts(np.asarray(value))[::2]]
        if self._other is None:
            raise WireError(f"a value of type {type(value).__name__} cannot travel")
        return self.write(self._other(value), depth + 1)

    def _all(self, items: Iterable[object], depth: int) -> list[Any]:
        return [self.write(item, depth) for item in items]


class _Reader(_Counted):
    def __init__(
        self,
        ref: Callable[[Ref], object] | None,
        tensor: Callable[[Tensor], object] | None,
    ) -> None:
        super().__init__()
        self._ref = ref or (lambda ref: ref)
        self._tensor = tensor or (lambda tensor: tensor)
        self._by_tag: dict[str, Callable[[list[Any], int], Any]] = {
            "l": self._all,
            "t": lambda rest, depth: tuple(self._all(rest, depth)),
            "s": lambda rest, depth: _set(self._all(rest, depth)),
            "d": self._dict,
            "i": lambda rest, depth: _large_int(*rest),
            "c": lambda rest, depth: _complex(*rest),
            "n": lambda rest, depth: _array(*rest),
            "g": lambda rest, depth: _array(rest[0], [], *rest[1:])[()],
            "T": lambda rest, depth: self._tensor(Tensor(_array(*rest))),
            "r": lambda rest, depth: self._ref(_ref(*rest)),
            "o": lambda rest, depth: _opaque(*rest),
        }

    def read(self, tree: object, depth: int) -> Any:
        self.count(depth)
        if tree is None or isinstance(tree, (bool, int, float)):
            return tree
        if isinstance(tree, (str, bytes)):
            return _bounded(tree)
        if not isinstance(tree, list) or not tree or not isinstance(tree[0], str):
            raise WireError(f"a bare {type(tree).__name__}, or an array without a tag, in a value")
        known = self._by_tag.get(tree[0])
        if known is None:
            raise WireError(f"unknown tag {tree[0][:8]!r}")
        try:
            return known(tree[1:], depth + 1)
        except (TypeError, ValueError, IndexError, OverflowError) as error:
            reason = str(error)[:200]
            raise WireError(f"a malformed value with tag {tree[0]!r}: {reason}") from None

    def _all(self, rest: list[Any], depth: int) -> list[Any]:
        return [self.read(item, depth) for item in rest]

    def _dict(self, rest: list[Any], depth: int) -> dict[Any, Any]:
        if len(rest) % 2:
            raise WireError("a dict with a key and no value")
        keys = self._all(rest[::2], depth)
        _bound_hashes(keys)
        made = dict(zip(keys, self._all(rest[1::2], depth), strict=True))
        _require_distinct(keys, made, "a dict with a key twice")
        return made


def _set(items: list[Any]) -> frozenset[Any]:
    _bound_hashes(items)
    made = frozenset(items)
    _require_distinct(items, made, "a set with an element twice")
    return made


def _bound_hashes(keys: Sequence[object]) -> None:
    if len(keys) > MAX_SAME_HASH and max(Counter(map(hash, keys)).values()) > MAX_SAME_HASH:
        raise WireError(f"more than {MAX_SAME_HASH} keys with one hash")


def _require_distinct(keys: Sequence[object], made: Sized, problem: str) -> None:
    # Objects that do not travel are all equal to their type's name, and to nothing else.
    if len(made) != len(keys) and not any(type(key) is Opaque for key in keys):
        raise WireError(problem)


def _travels(dtype: np.dtype[Any]) -> bool:
    return dtype.newbyteorder("<").str in _DTYPES


def _bounded(text: Sized) -> Any:
    if len(text) > MAX_TEXT:
        raise WireError(f"a text longer than {MAX_TEXT}")
    return text


def _large_int(digits: object) -> int:
    if not isinstance(digits, str) or len(digits) > 1000:
        raise WireError("a large int of more than 1000 digits")
    return int(digits, 16)


def _complex(real: object, imaginary: object) -> complex:
    if type(real) is not float or type(imaginary) is not float:
        raise WireError("a malformed complex number")
    return complex(real, imaginary)


def _ref(kind: object, number: object) -> Ref:
    if not isinstance(kind, str) or type(number) is not int:
        raise WireError("a malformed reference")
    return Ref(kind[:64], number)


def _opaque(name: object) -> Opaque:
    if not isinstance(name, str):
        raise WireError("a malformed opaque value")
    return Opaque(name[:200])


def _digits(value: int) -> str:
    if value.bit_length() > 3000:
        raise WireError("an int of more than 3000 bits")
    return hex(value)


def _clean(text: str) -> str:
    """Replace lone surrogates, which UTF-8 cannot carry."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def _array_parts(array: np.ndarray[Any, Any]) -> tuple[str, list[int], bytes]:
    little = array.dtype.newbyteorder("<")
    # `order="C"` after asking for the shape: ascontiguousarray would make a scalar one-dimensional.
    return little.str, list(array.shape), array.astype(little, copy=False).tobytes(order="C")


def _array(dtype: object, shape: object, raw: object) -> np.ndarray[Any, Any]:
    if not isinstance(dtype, str) or not isinstance(raw, bytes):
        raise WireError("a malformed array")
    kind = _DTYPES.get(dtype)
    if kind is None or not isinstance(shape, list) or len(shape) > 16:
        raise WireError("an array of a type or rank that does not travel")
    count = 1
    for size in shape:
        if type(size) is not int or not 0 <= size <= MAX_TEXT * 8:
            raise WireError("an array with an impossible shape")
        count *= size
        if count > MAX_TEXT * 8:
            raise WireError("an array with an impossible shape")
    if count * kind.itemsize != len(raw):
        raise WireError("an array whose bytes do not fit its shape")
    return np.frombuffer(raw, dtype=kind).reshape(shape).copy()
