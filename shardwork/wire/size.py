"""How much memory a MessagePack message would take as Python objects, without making any.

One byte can become an empty list of 72 bytes, so a frame of 32 MiB could take 2.4 GB. The estimate
goes over the headers of all items once, whatever they are nested in; whether the message is
well-formed is for the decoder to say. What items take was measured with CPython 3.11 and
msgspec 0.21, with their places in the list that holds them, and is rounded up.
"""

from __future__ import annotations

from typing import NamedTuple

WORST_BYTES_PER_BYTE = 80
"""Measured: 72, of empty lists and maps."""


class _Header(NamedTuple):
    """What an item's first byte tells."""

    width: int = 1
    """Bytes of the item, without those that its length counts."""
    length_width: int = 0
    """Bytes of the length, which follow the first byte; 0 if there is none to count."""
    cost: int = 48
    """Bytes of the object."""
    cost_each: int = 0
    """And for each byte that the length counts."""


def _headers() -> list[_Header]:
    # A character above U+FFFF makes every character of its text take four bytes.
    listed, mapped, text, raw, extension = 80, 248, 80, 56, 88
    table = [_Header()] * 256  # small ints, None, True, False; 0xC1 is never used
    table[0x80:0x90] = [_Header(cost=mapped)] * 16
    table[0x90:0xA0] = [_Header(cost=listed)] * 16
    table[0xA0:0xC0] = [_Header(1 + size, cost=text + 4 * size) for size in range(32)]
    table[0xC4:0xC7] = [_Header(1 + size, size, raw, 1) for size in (1, 2, 4)]
    table[0xC7:0xCA] = [_Header(2 + size, size, extension, 1) for size in (1, 2, 4)]
    table[0xCA:0xD4] = [_Header(1 + size) for size in (4, 8, 1, 2, 4, 8, 1, 2, 4, 8)]
    table[0xD4:0xD9] = [_Header(2 + size, cost=extension + size) for size in (1, 2, 4, 8, 16)]
    table[0xD9:0xDC] = [_Header(1 + size, size, text, 4) for size in (1, 2, 4)]
    table[0xDC:0xDE] = [_Header(1 + size, cost=listed) for size in (2, 4)]
    table[0xDE:0xE0] = [_Header(1 + size, cost=mapped) for size in (2, 4)]
    return table


_HEADERS = _headers()


def decoded_bytes(body: bytes | bytearray, enough: int) -> int:
    """Return at most how many bytes the objects of `body` take, or some number above `enough`.

    A body so short that it cannot take more than `enough` is not looked at.
    """
    end = len(body)
    if end * WORST_BYTES_PER_BYTE <= enough:
        return end * WORST_BYTES_PER_BYTE
    headers = _HEADERS
    at = total = 0
    while at < end and total <= enough:
        width, length_width, cost, cost_each = headers[body[at]]
        total += cost
        if length_width:
            length = int.from_bytes(body[at + 1 : at + 1 + length_width], "big")
            total += length * cost_each
            at += length
        at += width
    return total
