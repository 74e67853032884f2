"""What every kind of archive has: entries, what may be wrong with them, and a budget."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import msgspec

SMALL_BYTES = 1 << 20
"""Below this size a ratio says nothing: a notebook of a few kilobytes may be all blanks."""
_MAX_NAME_CHARS = 1_000
_MAX_PART_BYTES = 255  # what a file system takes


class Limits(msgspec.Struct, frozen=True):
    """What an archive may cost. `total_bytes` counts everything that is decompressed."""

    entries: int = 5_000
    entry_bytes: int = 64 << 20
    total_bytes: int = 128 << 20
    ratio: int = 500
    depth: int = 2
    """How deep archives may lie in each other: 2 is an archive in the one that was handed in."""
    archives: int = 10
    files: int = 50


class ArchiveRefused(Exception):
    """An archive, or an entry of one, that is not read. The text says why, without the name."""


class Entry(msgspec.Struct, frozen=True):
    """One entry: `problem` says why it is not read, and is empty for one that may be.

    `name` is as the archive has it, and no path: nothing may be opened by it.
    """

    name: str
    size: int
    problem: str = ""
    is_folder: bool = False


class Archive(Protocol):
    """Something with entries whose bytes can be had one by one."""

    @property
    def entries(self) -> tuple[Entry, ...]: ...

    def read(self, entry: Entry, limit_bytes: int) -> bytes:
        """Return the bytes of an entry; ArchiveRefused if it has a problem or is too large."""
        ...


class Budget:
    """Counts what is decompressed, over all archives that one student handed in."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._bytes_left = limits.total_bytes
        self._archives_left = limits.archives

    def spend(self, size_bytes: int) -> None:
        self._bytes_left -= size_bytes
        if self._bytes_left < 0:
            raise ArchiveRefused(f"it unpacks to more than {megabytes(self.limits.total_bytes)} MB")

    def spend_archive(self) -> None:
        self._archives_left -= 1
        if self._archives_left < 0:
            raise ArchiveRefused(f"it holds more than {self.limits.archives} archives")


def name_problem(name: str) -> str:
    """Say why no honest archive has an entry of this name; empty if one may."""
    parts = name.rstrip("/").split("/")
    long = len(name) > _MAX_NAME_CHARS or any(
        len(p.encode("utf-8", "replace")) > _MAX_PART_BYTES for p in parts
    )
    found = {
        "its name is empty or too long": not name or long,
        "its name holds a control character": any(
            unicodedata.category(c) in {"Cc", "Cs"} for c in name[:_MAX_NAME_CHARS]
        ),
        "its name holds a backslash": "\\" in name,
        "its name is an absolute path": name.startswith("/") or bool(re.match("[A-Za-z]:", name)),
        "its name leads out of its folder": ".." in parts,
    }
    return next((problem for problem, is_so in found.items() if is_so), "")


def checked(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Give a problem to entries with a name that is unsafe, or that another entry has too."""
    keys = [_key(entry) for entry in entries]
    times = Counter(keys)
    found = []
    for entry, key in zip(entries, keys, strict=True):
        problem = entry.problem or name_problem(entry.name)
        if not problem and times[key] > 1 and not entry.is_folder:
            problem = "another entry has the same name"
        found.append(msgspec.structs.replace(entry, problem=problem))
    return tuple(found)


def _key(entry: Entry) -> str:
    """Return what two names have in common that one file system or another takes for the same."""
    return unicodedata.normalize("NFC", entry.name[:_MAX_NAME_CHARS].rstrip("/")).casefold()


def megabytes(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 20):g}"


def decoded_name(name: bytes) -> str:
    """Return a name as text. Old programs write it in the code page of their machine."""
    for encoding in ("utf-8", "cp932"):
        try:
            return name.decode(encoding)
        except UnicodeDecodeError:
            continue
    return name.decode("cp437")
