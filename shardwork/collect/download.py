"""A download of an LMS: a zip, or the folder that somebody unpacked it into."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from shardwork.archive import (
    Archive,
    ArchiveRefused,
    Budget,
    Entry,
    Limits,
    ZipArchive,
    name_problem,
)
from shardwork.collect.errors import CollectError

LIMITS = Limits(entries=20_000, entry_bytes=64 << 20, total_bytes=1 << 40)
"""Of the whole download, which the LMS made; each student's own archives have narrower ones."""


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Open a download; CollectError if it is none."""
    if path.is_dir():
        yield _Folder(path)
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise CollectError(f"{path} could not be read: {error.strerror}.") from error
    with file:
        try:
            archive = ZipArchive(file, Budget(LIMITS))
        except ArchiveRefused as refusal:
            raise CollectError(
                f"{path} is no download of an LMS: {refusal}. Download it again, as a zip."
            ) from refusal
        yield archive


class _Folder:
    """An unpacked download. Files in it may have become anything while they were unpacked."""

    def __init__(self, root: Path) -> None:
        self._root = root
        entries = []
        for folder, folders, files in os.walk(root):
            folders.sort()
            for name in sorted(files):
                path = Path(folder, name)
                inside = path.relative_to(root).as_posix()
                status = path.lstat()
                problem = "" if stat.S_ISREG(status.st_mode) else "it is a link or a special file"
                entries.append(Entry(inside, status.st_size, problem or name_problem(inside)))
            if len(entries) > LIMITS.entries:
                raise CollectError(f"{root} holds more than {LIMITS.entries} files: no download.")
        self.entries = tuple(entries)

    def read(self, entry: Entry, limit_bytes: int) -> bytes:
        """Return the bytes of a file."""
        if entry.problem:
            raise ArchiveRefused(entry.problem)
        try:
            descriptor = os.open(
                self._root / entry.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            )
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise ArchiveRefused("it is a link or a special file")
                data = file.read(limit_bytes + 1)
        except OSError as error:
            raise ArchiveRefused(f"it could not be read: {error.strerror}") from error
        if len(data) > limit_bytes:
            raise ArchiveRefused(f"it is larger than {limit_bytes >> 20} MB")
        return data
