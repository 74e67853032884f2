"""What archives are searched for: the files of one kind, through archives in archives."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import msgspec

from shardwork.archive.entries import (
    Archive,
    ArchiveRefused,
    Budget,
    Entry,
    Limits,
    checked,
    megabytes,
)
from shardwork.archive.streams import STREAMS, decompress
from shardwork.archive.tars import TarArchive, is_tar
from shardwork.archive.zips import ZipArchive
from shardwork.plaintext import plain_line

_FOREIGN = {b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!": "RAR", b"\x28\xb5\x2f\xfd": "zstd"}
_SUFFIXES = (
    ".zip", ".tar", ".tgz", ".tbz2", ".txz", ".gz", ".bz2", ".xz", ".7z", ".rar", ".zst",
)  # fmt: skip


class Found(msgspec.Struct, frozen=True):
    """A file found in an archive; `names` leads to it through the archives that it lies in."""

    names: tuple[str, ...]
    data: bytes


def is_archive(name: str) -> bool:
    """Whether a file of this name is one that `find_files` would open."""
    return name.lower().endswith(_SUFFIXES)


def find_files(data: bytes, name: str, suffix: str, budget: Budget) -> list[Found]:
    """Return the files with this suffix in an archive, and in archives in it if it has none itself.

    Copies that Jupyter and macOS make on their own are left out. Raises ArchiveRefused for the
    first thing that is wrong, whichever entry has it: an archive that lies in one place is not
    believed in another.
    """
    return list(_search(data, (name,), suffix, budget))


def _search(data: bytes, names: tuple[str, ...], suffix: str, budget: Budget) -> Iterator[Found]:
    limits = budget.limits
    if len(names) > limits.depth:
        raise ArchiveRefused(f"archives lie in it more than {limits.depth} deep")
    budget.spend_archive()
    archive = open_archive(data, names[-1], budget)
    for entry in archive.entries:
        if entry.problem:
            raise ArchiveRefused(f"{plain_line(entry.name, 80)}: {entry.problem}")
    files = [e for e in archive.entries if not e.is_folder and not _is_byproduct(e.name)]
    wanted = [e for e in files if e.name.lower().endswith(suffix)]
    if len(wanted) > limits.files:
        raise ArchiveRefused(
            f"it holds {len(wanted)} files *{suffix}; at most {limits.files} are read"
        )
    for entry in wanted:
        yield Found((*names, entry.name), _read(archive, entry, limits))
    if not wanted:
        for entry in (e for e in files if is_archive(e.name)):
            inner = _read(archive, entry, limits)
            yield from _search(inner, (*names, entry.name), suffix, budget)


def _read(archive: Archive, entry: Entry, limits: Limits) -> bytes:
    try:
        return archive.read(entry, limits.entry_bytes)
    except ArchiveRefused as refusal:
        raise ArchiveRefused(f"{plain_line(entry.name, 80)}: {refusal}") from None


def _is_byproduct(name: str) -> bool:
    parts = name.split("/")
    return parts[-1].startswith(".") or "__MACOSX" in parts or ".ipynb_checkpoints" in parts


def open_archive(data: bytes, name: str, budget: Budget) -> Archive:
    """Open an archive by what it is, not by what it is called."""
    if data[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return ZipArchive(io.BytesIO(data), budget)
    for magic, kind in _FOREIGN.items():
        if data.startswith(magic):
            raise ArchiveRefused(f"it is a {kind} archive; only zip and tar are read")
    for magic, stream in STREAMS.items():
        if data.startswith(magic):
            unpacked = decompress(data, stream, budget)
            if is_tar(unpacked):
                return TarArchive(unpacked, budget)
            inner = re.sub(r"\.(gz|bz2|xz)$", "", name, flags=re.IGNORECASE)
            return _OneFile(inner, unpacked)
    if is_tar(data):
        return TarArchive(data, budget)
    raise ArchiveRefused("it is no archive, whatever it is called")


class _OneFile:
    """What a single compressed file holds, as an archive with one entry."""

    def __init__(self, name: str, data: bytes) -> None:
        self.entries = checked([Entry(name, len(data))])
        self._data = data

    def read(self, entry: Entry, limit_bytes: int) -> bytes:
        if entry.size > limit_bytes:
            raise ArchiveRefused(f"it is larger than {megabytes(limit_bytes)} MB")
        return self._data
