"""Archives read as hostile data: zip, tar, and what gzip, bzip2 and xz make of either.

Nothing is ever extracted. An archive is a list of entries, each with what is wrong with it, and the
bytes of one entry at a time, in memory and counted while they are decompressed. What an archive
says of itself (sizes, numbers, names) is held against what is there, and never believed alone. All
work is bounded by the size of what was handed in and by `Limits`, so no clock is needed.

`zipfile` and `tarfile` are not used: both read all of a directory, a name or a header before
anybody can say that it is too much, and both hide that two headers of one entry disagree.
"""

from shardwork.archive.entries import (
    Archive,
    ArchiveRefused,
    Budget,
    Entry,
    Limits,
    name_problem,
)
from shardwork.archive.search import Found, find_files, is_archive, open_archive
from shardwork.archive.zips import ZipArchive

__all__ = [
    "Archive",
    "ArchiveRefused",
    "Budget",
    "Entry",
    "Found",
    "Limits",
    "ZipArchive",
    "find_files",
    "is_archive",
    "name_problem",
    "open_archive",
]
