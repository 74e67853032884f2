"""Plain values on the wire: a closed set of types, with exact types kept.

A scalar (None, bool, int of 64 bits, float, str, bytes) stands for itself. Everything else is an
array whose first item is a tag: `["l", ...]` list, `["t", ...]` tuple, `["d", k, v, ...]` dict,
`["s", ...]` set, `["i", "123..."]` large int, `["c", re, im]` complex, `["n", dtype, shape, bytes]`
NumPy array, `["g", dtype, bytes]` NumPy scalar, `["T", dtype, shape, bytes]` torch tensor,
`["r", kind, id]` reference to an object that stays in the sandbox, `["o", type, text]` an object
that does not travel. Tuples and lists, ints and bools, Python and NumPy numbers stay different.

Size and depth are bounded on the way out as on the way in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

MAX_DEPTH = 24
MAX_ITEMS = 2_000_000
MAX_TEXT = 8 << 20
_INT64 = range(-(2**63), 2**63)
_DTYPE_KINDS = frozenset("biufc")


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


def from_wire(tree: object, *, ref: Callable[[Ref], object] | None = None,
              tensor: Callable[[Tensor], object] | None = None) -> Any:
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

    def write(self, value: object, depth: int) -> Any:
        self.count(depth)
        kind = type(value)
        if value is None or kind is bool or kind is float:
            return value
        if kind is int:
            return value if value in _INT64 else ["i", _digits(value)]  # type: ignore[operator,arg-type]
        if kind is str or kind is bytes:
            if len(value) > MAX_TEXT:  # type: ignore[arg-type]
                raise WireError(f"a text longer than {MAX_TEXT}")
            return value if kind is bytes else _clean(value)  # type: ignore[arg-type]
        if kind is list:
            return ["l", *(self.write(item, depth + 1) for item in list(value))]  # type: ignore[call-overload]
        if kind is tuple:
            return ["t", *(self.write(item, depth + 1) for item in value)]  # type: ignore[attr-defined]
        if kind is dict:
            out: list[Any] = ["d"]
            for key, item in list(value.items()):  # type: ignore[attr-defined]
                out += (self.write(key, depth + 1), self.write(item, depth + 1))
            return out
        if kind is set or kind is frozenset:
            return ["s", *(self.write(item, depth + 1) for item in list(value))]  # type: ignore[call-overload]
        if kind is complex:
            return ["c", value.real, value.imag]  # type: ignore[attr-defined]
        if kind is np.ndarray:
            if value.dtype.kind in _DTYPE_KINDS:  # type: ignore[attr-defined]
                return ["n", *_array_parts(value)]  # type: ignore[arg-type]
        elif isinstance(value, np.generic) and value.dtype.kind in _DTYPE_KINDS:
            return ["g", value.dtype.str, value.tobytes()]
        if kind is Tensor:
            return ["T", *_array_parts(value.array)]  # type: ignore[attr-defined]
        if kind is Ref:
            return ["r", value.kind, value.id]  # type: ignore[attr-defined]
        if kind is Opaque:
            return ["o", value.type[:200]]  # type: ignore[attr-defined]
        if self._other is None:
            raise WireError(f"a value of type {kind.__name__} cannot travel")
        return self.write(self._other(value), depth + 1)


class _Reader(_Counted):
    def __init__(self, ref: Callable[[Ref], object] | None,
                 tensor: Callable[[Tensor], object] | None) -> None:
        super().__init__()
        self._ref = ref
        self._tensor = tensor

    def read(self, tree: Any, depth: int) -> Any:
        self.count(depth)
        if not isinstance(tree, list):
            if isinstance(tree, (str, bytes, bool, int, float, type(None))):
                return tree
            raise WireError(f"a bare {type(tree).__name__} in a value")
        if not tree or not isinstance(tree[0], str):
            raise WireError("an array without a tag in a value")
        tag, rest = tree[0], tree[1:]
        try:
            return self._tagged(tag, rest, depth + 1)
        except (TypeError, ValueError, IndexError) as error:
            raise WireError(f"a malformed value with tag {tag[:8]!r}: {error}") from None

    def _tagged(self, tag: str, rest: list[Any], depth: int) -> Any:
        if tag == "l":
            return [self.read(item, depth) for item in rest]
        if tag == "t":
            return tuple(self.read(item, depth) for item in rest)
        if tag == "d":
            if len(rest) % 2:
                raise WireError("a dict with a key and no value")
            keys = [self.read(key, depth) for key in rest[::2]]
            return dict(zip(keys, (self.read(v, depth) for v in rest[1::2]), strict=True))
        if tag == "s":
            return frozenset(self.read(item, depth) for item in rest)
        if tag == "i":
            (digits,) = rest
            if not isinstance(digits, str) or len(digits) > 1000:
                raise WireError("a large int of more than 1000 digits")
            return int(digits, 16)
        if tag == "c":
            real, imag = rest
            return complex(float(real), float(imag))
        if tag == "n":
            return _array(*rest)
        if tag == "g":
            dtype, raw = rest
            return _array(dtype, [], raw)[()]
        if tag == "T":
            tensor = Tensor(_array(*rest))
            return tensor if self._tensor is None else self._tensor(tensor)
        if tag == "r":
            kind, number = rest
            if not isinstance(kind, str) or type(number) is not int:
                raise WireError("a malformed reference")
            ref = Ref(kind[:64], number)
            return ref if self._ref is None else self._ref(ref)
        if tag == "o":
            (name,) = rest
            if not isinstance(name, str):
                raise WireError("a malformed opaque value")
            return Opaque(name[:200])
        raise WireError(f"unknown tag {tag[:8]!r}")


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
    if not isinstance(dtype, str) or len(dtype) > 8 or not isinstance(raw, bytes):
        raise WireError("a malformed array")
    kind = np.dtype(dtype)
    if kind.kind not in _DTYPE_KINDS or not isinstance(shape, list) or len(shape) > 16:
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
