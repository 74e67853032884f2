"""Compressed streams: gzip, bzip2 and xz, counted while they are decompressed."""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import Protocol

from shardwork.archive.entries import SMALL_BYTES, ArchiveRefused, Budget, megabytes

STREAMS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz"}
"""Each kind of stream by the bytes that it begins with."""
_CHUNK = 64 << 10
_MAX_STREAMS = 1_000  # some compressors write one for every megabyte; students' have one
_XZ_MEMORY_BYTES = 128 << 20


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Gzip:
    """gzip's decompressor with the interface of the two others."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(zlib.MAX_WBITS | 16)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail or data, max_length)


def _new(kind: str) -> _Decompressor:
    if kind == "gzip":
        return _Gzip()
    if kind == "bzip2":
        return bz2.BZ2Decompressor()
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)


def decompress(data: bytes, kind: str, budget: Budget) -> bytes:
    """Return what the compressed streams in `data` hold, one behind the other.

    Raises ArchiveRefused if they are damaged or hold more than the limits allow.
    """
    limit = min(budget.limits.entry_bytes, max(SMALL_BYTES, len(data) * budget.limits.ratio))
    parts: list[bytes] = []
    length = at = 0
    try:
        for _ in range(_MAX_STREAMS):
            stream = _new(kind)
            while not stream.eof:
                chunk = data[at : at + _CHUNK] if stream.needs_input else b""
                at += len(chunk)
                part = stream.decompress(chunk, _CHUNK)
                if not chunk and not part and stream.needs_input and not stream.eof:
                    raise ArchiveRefused("it is truncated")
                budget.spend(len(part))
                parts.append(part)
                length += len(part)
                if length > limit:
                    raise ArchiveRefused(f"it unpacks to more than {megabytes(limit)} MB")
            at -= len(stream.unused_data)
            if not data[at : at + _CHUNK].strip(b"\0"):  # what stands behind may fill a block
                return b"".join(parts)
    except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError):
        raise ArchiveRefused("it is damaged: it cannot be unpacked") from None
    raise ArchiveRefused(f"it is made of more than {_MAX_STREAMS} compressed streams")
