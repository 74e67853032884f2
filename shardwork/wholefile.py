"""Files that are written whole or not at all, and the one sentence for a disk that is full."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path

from shardwork.errors import MachineError


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` so that `path` holds it all, or still what it held before, whenever it ends.

    Makes the folder. Raises MachineError if the disk is full or the file cannot be written.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
        temporary = Path(name)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
        temporary = None
        _sync_folder(path.parent)
    except OSError as error:
        if is_disk_full(error):
            raise disk_full(f"{path} was not written, and what stood there before is intact") from (
                error
            )
        raise MachineError(
            f"{path} could not be written: {error.strerror or error}. What stood there before is "
            "intact. Make the folder writable and run the same command again."
        ) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def sweep(folder: Path) -> None:
    """Remove what a writer that was killed has left half-written in `folder`."""
    for path in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            path.unlink()


def is_disk_full(error: OSError) -> bool:
    """Say whether there was no room for what was to be written."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT}


def disk_full(what: str) -> MachineError:
    """Return the error that says so; `what` says what was not written, and what is safe."""
    return MachineError(
        f"The disk is full: {what}. Free some space and run the same command again; it goes on "
        "where it stopped."
    )


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable. Some file systems refuse; the content is safe then too."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
