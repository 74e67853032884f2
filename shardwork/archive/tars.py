"""Tar files in memory: one header after the other, with the forms of GNU and of POSIX."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from shardwork.archive.entries import (
    ArchiveRefused,
    Budget,
    Entry,
    checked,
    decoded_name,
    megabytes,
)


class TarArchive:
    """A tar file; ArchiveRefused if it is damaged or has too many entries."""

    def __init__(self, data: bytes, budget: Budget) -> None:
        self._data = data
        self._budget = budget
        entries, begins = [], []
        limit = budget.limits.entries
        for number, (entry, begin) in enumerate(_tar_entries(data, 4 * limit)):
            if number >= limit:
                raise ArchiveRefused(f"it has more than {limit} entries")
            entries.append(entry)
            begins.append(begin)
        self.entries = checked(entries)
        self._begins = dict(zip(self.entries, begins, strict=True))

    def read(self, entry: Entry, limit_bytes: int) -> bytes:
        """Return the bytes of an entry."""
        if entry.problem:
            raise ArchiveRefused(entry.problem)
        if entry.size > limit_bytes:
            raise ArchiveRefused(f"it is larger than {megabytes(limit_bytes)} MB")
        self._budget.spend(entry.size)
        begin = self._begins[entry]
        return self._data[begin : begin + entry.size]


_BLOCK = 512
_MAX_TAR_NOTE_BYTES = 64 << 10  # a header that only says something about the next one


def is_tar(data: bytes) -> bool:
    return len(data) >= _BLOCK and _sum_is_right(data[:_BLOCK])


def _sum_is_right(header: bytes) -> bool:
    said = _octal(header[148:156])
    blanked = header[:148] + b" " * 8 + header[156:]
    signed = sum(b - 256 if b > 127 else b for b in blanked)
    return said is not None and said in (sum(blanked), signed)


def _octal(field: bytes) -> int | None:
    """Return the number in a field of a tar header; None if there is none."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    text = field.split(b"\0", 1)[0].strip()
    return int(text or b"0", 8) if re.fullmatch(rb"[0-7]*", text) else None


def _tar_entries(data: bytes, limit: int) -> Iterator[tuple[Entry, int]]:
    """Yield each entry with where its bytes begin; of a long name there are several headers."""
    at = 0
    long_name: bytes | None = None
    said: dict[bytes, bytes] = {}
    for number in itertools.count():
        if number > limit:
            raise ArchiveRefused(f"it has more than {limit} headers")
        header = data[at : at + _BLOCK]
        if not header.strip(b"\0"):
            if number and len(header) < _BLOCK and not header:
                raise ArchiveRefused("it is truncated: its end is missing")
            return
        size = _octal(header[124:136]) if len(header) == _BLOCK else None
        if size is None or not _sum_is_right(header):
            raise ArchiveRefused("it is damaged: a header is not one")
        kind = header[156:157]
        is_note = kind in b"LKxg"
        if b"size" in said and not is_note:
            size = _decimal(said[b"size"])
        begin = at + _BLOCK
        if begin + size > len(data):
            raise ArchiveRefused("it is truncated: an entry is longer than what is there")
        at = begin + -(-size // _BLOCK) * _BLOCK
        if is_note:
            if size > _MAX_TAR_NOTE_BYTES:
                raise ArchiveRefused("it is damaged: a name is too long")
            note = data[begin : begin + size]
            if kind == b"L":
                long_name = note.rstrip(b"\0")
            elif kind == b"x":
                said = _pax(note)
            continue
        name = said.get(b"path") or long_name or _tar_name(header)
        problem = _TAR_PROBLEMS.get(kind, "" if kind in b"\x000756" else "it is of an unknown kind")
        if kind == b"6" or any(key.startswith(b"GNU.sparse") for key in said):
            problem = _TAR_PROBLEMS[b"6" if kind == b"6" else b"S"]
        yield Entry(decoded_name(name), size, problem, kind == b"5"), begin
        long_name, said = None, {}


_TAR_PROBLEMS = {
    b"1": "it is a link",
    b"2": "it is a link",
    b"3": "it is a device",
    b"4": "it is a device",
    b"6": "it is a pipe",
    b"S": "it is a sparse file",
}


def _tar_name(header: bytes) -> bytes:
    name = header[:100].split(b"\0", 1)[0]
    prefix = header[345:500].split(b"\0", 1)[0] if header[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _decimal(text: bytes) -> int:
    if not re.fullmatch(rb"[0-9]{1,15}", text):
        raise ArchiveRefused("it is damaged: a header is not one")
    return int(text)


def _pax(note: bytes) -> dict[bytes, bytes]:
    """Return what a POSIX header says of the next entry: lines of `length key=value`."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(note) and note[at : at + 1] != b"\0":
        match = re.match(rb"([0-9]{1,6}) ", note[at : at + 8])
        length = int(match[1]) if match else 0
        line = note[at : at + length]
        if match is None or len(line) != length or not line.endswith(b"\n") or b"=" not in line:
            raise ArchiveRefused("it is damaged: a header is not one")
        key, _, value = line[match.end() : -1].partition(b"=")
        found[key] = value
        at += length
    return found
