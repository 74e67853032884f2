"""Zip files: the directory at the end, held against the header before the bytes of each entry."""

from __future__ import annotations

import io
import stat
import struct
import zlib
from typing import BinaryIO

import msgspec

from shardwork.archive.entries import (
    SMALL_BYTES,
    ArchiveRefused,
    Budget,
    Entry,
    checked,
    decoded_name,
    megabytes,
)

_CHUNK = 64 << 10


class _Place(msgspec.Struct, frozen=True):
    """Where the packed bytes of a zip entry lie, and what they must become."""

    method: int
    offset: int
    packed: int
    crc: int


_END = struct.Struct("<4sHHHHIIH")
_END64_LOCATOR = struct.Struct("<4sIQI")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_CENTRAL = struct.Struct("<4sBBHHHHHIIIHHHHHII")
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_NONE16, _NONE32 = 0xFFFF, 0xFFFFFFFF
_MAX_DIRECTORY_BYTES = 32 << 20
_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 0x0001 | 0x0040 | 0x2000
_SIZES_FOLLOW = 0x0008
_UNIX_SYSTEMS = (3, 19)
_WINDOWS_LINK = 0x0400


class ZipArchive:
    """A zip file: the directory at its end, held against the header before each entry's bytes.

    Raises ArchiveRefused if the directory is not one; a single bad entry is marked as such. `file`
    must stay open and is not closed.
    """

    def __init__(self, file: BinaryIO, budget: Budget) -> None:
        self._file = file
        self._budget = budget
        self._size = file.seek(0, io.SEEK_END)
        begin, length, count = self._find_directory()
        if count > budget.limits.entries:
            raise ArchiveRefused(
                f"it has {count} entries; at most {budget.limits.entries} are read"
            )
        if length > _MAX_DIRECTORY_BYTES:
            raise ArchiveRefused("its directory is too large")
        directory = self._at(begin, length)
        entries: list[Entry] = []
        places: list[_Place | None] = []
        position = 0
        for _ in range(count):
            if directory[position : position + 4] != b"PK\x01\x02":
                raise ArchiveRefused("its directory is damaged")
            entry, place, position = self._central(directory, position, begin)
            entries.append(entry)
            places.append(place)
        if position != length:
            raise ArchiveRefused("its directory has more entries than it says")
        entries = self._without_overlaps(entries, places)
        self.entries = checked(entries)
        self._places = dict(zip(self.entries, places, strict=True))

    def read(self, entry: Entry, limit_bytes: int) -> bytes:
        """Return the bytes of an entry; ArchiveRefused if they are not what the directory says."""
        place = self._places[entry]
        if entry.problem or place is None:
            raise ArchiveRefused(entry.problem or "it cannot be read")
        if entry.size > limit_bytes:
            raise ArchiveRefused(f"it is larger than {megabytes(limit_bytes)} MB")
        if entry.size > SMALL_BYTES and entry.size > place.packed * self._budget.limits.ratio:
            raise ArchiveRefused(
                f"it is packed more than {self._budget.limits.ratio} times smaller"
            )
        self._file.seek(place.offset)
        data = self._unpacked(place, entry.size)
        if len(data) != entry.size or zlib.crc32(data) != place.crc:
            raise ArchiveRefused("it is damaged: its bytes are not those that were packed")
        return data

    def _unpacked(self, place: _Place, size: int) -> bytes:
        if place.method == _STORED:
            self._budget.spend(place.packed)
            return self._file.read(place.packed)
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        parts, length, left = [], 0, place.packed
        try:
            while left and not inflate.eof:
                chunk = self._file.read(min(_CHUNK, left))
                left -= len(chunk)
                if not chunk:
                    break
                while chunk and not inflate.eof:
                    part = inflate.decompress(chunk, size + 1 - length)
                    self._budget.spend(len(part))
                    parts.append(part)
                    length += len(part)
                    if length > size:
                        raise ArchiveRefused("it unpacks to more than it says")
                    chunk = inflate.unconsumed_tail
        except zlib.error:
            raise ArchiveRefused("it is damaged: it cannot be unpacked") from None
        if not inflate.eof or left or inflate.unused_data:
            raise ArchiveRefused("it is damaged: its packed bytes end early or late")
        return b"".join(parts)

    def _find_directory(self) -> tuple[int, int, int]:
        """Return where the directory begins, its length, and how many entries it says it has."""
        tail = self._at(max(0, self._size - _END.size - _NONE16), _END.size + _NONE16)
        place = tail.rfind(b"PK\x05\x06")
        if place < 0 or len(tail) - place < _END.size:
            raise ArchiveRefused("it is truncated: its directory, at the end, is missing")
        end = self._size - len(tail) + place
        _, disk, first_disk, here, count, length, begin, comment = _END.unpack_from(tail, place)
        if end + _END.size + comment != self._size:
            raise ArchiveRefused("something stands behind its end")
        if _NONE16 in (disk, first_disk, here, count) or _NONE32 in (length, begin):
            disk, first_disk, here, count, length, begin, end = self._find_directory64(end)
        if disk or first_disk or here != count:
            raise ArchiveRefused("it is one of several parts")
        if begin + length != end:
            raise ArchiveRefused("its directory is not where it says")
        return begin, length, count

    def _find_directory64(self, end: int) -> tuple[int, int, int, int, int, int, int]:
        """Return the same in its form for large archives, with where that begins."""
        locator = self._at(end - _END64_LOCATOR.size, _END64_LOCATOR.size) if end >= 20 else b""
        if len(locator) < _END64_LOCATOR.size or locator[:4] != b"PK\x06\x07":
            raise ArchiveRefused("its directory is damaged")
        _, disk, begin64, disks = _END64_LOCATOR.unpack(locator)
        record = self._at(begin64, _END64.size) if begin64 < end else b""
        if disk or disks > 1 or len(record) < _END64.size or record[:4] != b"PK\x06\x06":
            raise ArchiveRefused("its directory is damaged")
        _, size, _, _, on, first, here, count, length, begin = _END64.unpack(record)
        if begin64 + 12 + size != end - _END64_LOCATOR.size:
            raise ArchiveRefused("its directory is damaged")
        return on, first, here, count, length, begin, begin64

    def _central(
        self, directory: bytes, position: int, end: int
    ) -> tuple[Entry, _Place | None, int]:
        """Read one entry of the directory, and its other header; return where the next begins."""
        if len(directory) - position < _CENTRAL.size:
            raise ArchiveRefused("its directory is damaged")
        fields = _CENTRAL.unpack_from(directory, position)
        _, _, system, _, flags, method, _, _, crc, packed, size = fields[:11]
        name_length, extra_length, comment_length, _, _, attributes, offset = fields[11:]
        at = position + _CENTRAL.size
        after = at + name_length + extra_length + comment_length
        if after > len(directory):
            raise ArchiveRefused("its directory is damaged")
        raw_name = directory[at : at + name_length]
        extra = directory[at + name_length : at + name_length + extra_length]
        size, packed, offset = _wide_fields(extra, size, packed, offset)
        name = decoded_name(raw_name)
        place = None
        problem = _entry_problem(system, flags, method, attributes)
        if not problem:
            place, problem = self._local(raw_name, flags, method, crc, packed, size, offset, end)
        is_folder = name.endswith("/")
        if is_folder and size:
            problem = problem or "it is a folder with bytes of its own"
        return Entry(name, size, problem, is_folder), place, after

    def _local(
        self,
        name: bytes, flags: int, method: int, crc: int, packed: int, size: int,
        offset: int, end: int,
    ) -> tuple[_Place | None, str]:  # fmt: skip
        """Hold an entry of the directory against the header before its bytes."""
        header = self._at(offset, _LOCAL.size + len(name)) if offset < end else b""
        if len(header) < _LOCAL.size + len(name) or header[:4] != b"PK\x03\x04":
            return None, "its bytes are not where the directory says"
        _, _, their_flags, their_method, _, _, their_crc, their_packed, their_size, length, more = (
            _LOCAL.unpack_from(header)
        )
        same = (
            length == len(name)
            and header[_LOCAL.size :] == name
            and their_method == method
            and not their_flags & _ENCRYPTED
        )
        for theirs, ours in ((their_crc, crc), (their_packed, packed), (their_size, size)):
            left_open = (theirs == 0 and (flags | their_flags) & _SIZES_FOLLOW) or theirs == _NONE32
            same = same and bool(theirs == ours or left_open)
        if not same:
            return None, "its two headers disagree"
        begin = offset + _LOCAL.size + length + more
        if begin + packed > end:
            return None, "its bytes are not where the directory says"
        if method == _STORED and packed != size:
            return None, "its two headers disagree"
        return _Place(method, begin, packed, crc), ""

    def _without_overlaps(self, entries: list[Entry], places: list[_Place | None]) -> list[Entry]:
        """Mark entries whose bytes are also those of another: a bomb that is flat."""
        spans = sorted(
            (place.offset, place.offset + place.packed, index)
            for index, place in enumerate(places)
            if place is not None
        )
        shared: set[int] = set()
        reach, owner = 0, -1
        for begin, end, index in spans:
            # A header stands before the bytes, so even empty entries lie apart.
            if owner >= 0 and begin - _LOCAL.size < reach:
                shared |= {index, owner}
            if end >= reach:
                reach, owner = end, index
        return [
            msgspec.structs.replace(e, problem="its bytes are also those of another entry")
            if index in shared
            else e
            for index, e in enumerate(entries)
        ]

    def _at(self, offset: int, length: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(length)


def _entry_problem(system: int, flags: int, method: int, attributes: int) -> str:
    if flags & _ENCRYPTED:
        return "it is encrypted"
    mode = attributes >> 16 if system in _UNIX_SYSTEMS else 0
    plain = stat.S_IFMT(mode) in (0, stat.S_IFREG, stat.S_IFDIR)
    if not plain or (system not in _UNIX_SYSTEMS and attributes & _WINDOWS_LINK):
        return "it is a link or a special file"
    if method not in (_STORED, _DEFLATED):
        return f"it is packed by a method that is not read (number {method})"
    return ""


def _wide_fields(extra: bytes, *values: int) -> tuple[int, int, int]:
    """Return size, packed size and offset, with those that did not fit taken from the extra."""
    wide: list[int] = []
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            usable = min(length, len(extra) - at - 4) // 8
            wide = list(struct.unpack_from(f"<{usable}Q", extra, at + 4))
            break
        at += 4 + length
    found = []
    for value in values:
        if value == _NONE32 and not wide:
            raise ArchiveRefused("its directory is damaged")
        found.append(wide.pop(0) if value == _NONE32 else value)
    size, packed, offset = found
    return size, packed, offset
