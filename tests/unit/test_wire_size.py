"""The estimate of what a message takes in memory, against what Python really allocates for it."""

from __future__ import annotations

import struct
import tracemalloc

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardwork.wire.size import WORST_BYTES_PER_BYTE, decoded_bytes

pytestmark = pytest.mark.unit


def allocated_bytes(body: bytes) -> int:
    """Decode with msgspec and ask the allocator: the independent source of this module."""
    tracemalloc.start()
    try:
        value = msgspec.msgpack.decode(body)
        size, _ = tracemalloc.get_traced_memory()
        del value
    finally:
        tracemalloc.stop()
    return size


def estimated_bytes(body: bytes) -> int:
    return decoded_bytes(body, len(body) * WORST_BYTES_PER_BYTE - 1)


ITEMS = {
    "empty list": b"\x90",
    "empty map": b"\x80",
    "map of one": b"\x81\xa0\xc0",
    "map of two": b"\x82\xa1a\xc0\xa1b\xc0",
    "list of one": b"\x91\xc0",
    "nothing": b"\xc0",
    "small int": b"\x05",
    "negative int": b"\xe1",
    "int of 1 byte": b"\xcc\xff",
    "signed int of 1 byte": b"\xd0\x80",
    "int of 2 bytes": b"\xcd\xff\xff",
    "signed int of 2 bytes": b"\xd1\x80\x00",
    "int of 4 bytes": b"\xce\xff\xff\xff\xff",
    "signed int of 4 bytes": b"\xd2\x80\x00\x00\x00",
    "int of 8 bytes": b"\xcf" + b"\xff" * 8,
    "signed int of 8 bytes": b"\xd3" + b"\x80" + b"\0" * 7,
    "float of 4 bytes": b"\xca\x3f\x80\0\0",
    "float of 8 bytes": b"\xcb\x3f\xf0" + b"\0" * 6,
    "empty text": b"\xa0",
    "short text": b"\xa2ab",
    "text of wide characters": b"\xb8" + "🦉".encode() * 6,
    "text with one wide character": b"\xd9\xc8" + b"a" * 196 + "🦉".encode(),
    "text with a length of 2 bytes": b"\xda\x00\x02ab",
    "text with a length of 4 bytes": b"\xdb\x00\x00\x00\x02ab",
    "bytes": b"\xc4\x02ab",
    "bytes with a length of 2 bytes": b"\xc5\x00\x02ab",
    "bytes with a length of 4 bytes": b"\xc6\x00\x00\x00\x02ab",
    "extension of 1 byte": b"\xd4\x05\x00",
    "extension of 2 bytes": b"\xd5\x05ab",
    "extension of 16 bytes": b"\xd8\x05" + b"x" * 16,
    "empty extension": b"\xc7\x00\x05",
    "extension with a length of 2 bytes": b"\xc8\x00\x01\x05x",
    "extension with a length of 4 bytes": b"\xc9\x00\x00\x00\x01\x05x",
    "time": b"\xd6\xff\0\0\0\1",
    "list with a length of 2 bytes": b"\xdc\x00\x00",
    "list with a length of 4 bytes": b"\xdd\x00\x00\x00\x00",
    "map with a length of 2 bytes": b"\xde\x00\x00",
    "map with a length of 4 bytes": b"\xdf\x00\x00\x00\x00",
}


@pytest.mark.parametrize("item", ITEMS.values(), ids=ITEMS.keys())
def test_no_kind_of_item_takes_more_than_is_estimated(item: bytes) -> None:
    body = b"\xdd" + struct.pack(">I", 5000) + item * 5000
    assert allocated_bytes(body) <= estimated_bytes(body)
    assert allocated_bytes(body) <= len(body) * WORST_BYTES_PER_BYTE


@pytest.mark.parametrize("item", ITEMS.values(), ids=ITEMS.keys())
def test_the_estimate_finds_the_end_of_every_kind_of_item(item: bytes) -> None:
    """What comes after an item is counted as it is: one list more costs what one list costs."""
    padding = b"\xc6" + struct.pack(">I", 100_000) + b"\0" * 100_000  # so that nothing is skipped
    alone = estimated_bytes(item + padding)
    assert estimated_bytes(item + b"\x90" + padding) - alone == 80


def test_an_item_is_counted_wherever_it_is_nested() -> None:
    flat = b"\xdd" + struct.pack(">I", 2000) + b"\x90" * 2000
    deep = b"\x91" * 2000 + b"\x90"
    assert estimated_bytes(flat) == estimated_bytes(deep) == 2001 * 80


@given(st.binary(max_size=200))
def test_the_estimate_of_arbitrary_bytes_ends(body: bytes) -> None:
    assert decoded_bytes(body, 10) >= 0


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.binary()
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text("ab🦉"), inner),
    max_leaves=60,
)  # fmt: skip


@settings(max_examples=60)
@given(values)
def test_no_message_takes_more_than_is_estimated(value: object) -> None:
    body = msgspec.msgpack.encode([value] * 50)
    assert allocated_bytes(body) <= estimated_bytes(body)
