"""Which of the files that one student handed in is the notebook that counts."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence

import msgspec

from shardwork.archive import ArchiveRefused, Budget, Limits, find_files, is_archive
from shardwork.collect.errors import SetAside
from shardwork.notebookfile import MAX_FILE_BYTES
from shardwork.plaintext import plain_line

MAX_UPLOADS = 50
_AGAIN = re.compile(r"(?:-[0-9]{1,3}|\s*\([0-9]{1,3}\))(?=\.ipynb$)")


class Upload(msgspec.Struct, frozen=True):
    """A file that a student handed in: how it is called, the LMS's number of it, its bytes."""

    name: str
    number: int
    read: Callable[[int], bytes]
    """Returns the bytes, at most as many as it is given; ArchiveRefused if it cannot."""


class Notebook(msgspec.Struct, frozen=True):
    """The notebook that counts, and where it was found."""

    data: bytes
    name: str
    number: int
    is_named: bool
    """Whether it is called as it should be, but for a mark of a further submission."""


def choose(uploads: Sequence[Upload], assignment: str) -> Notebook:
    """Return the notebook that counts: the named one that the LMS numbered last.

    Notebooks in archives are looked for only where none was handed in as it is. Raises SetAside if
    there is none, or nothing tells which of several it is.
    """
    if len(uploads) > MAX_UPLOADS:
        raise SetAside(f"{len(uploads)} files were handed in; at most {MAX_UPLOADS} are read.")
    notebooks = [u for u in uploads if u.name.lower().endswith(".ipynb")]
    if not notebooks:
        notebooks = _in_archives([u for u in uploads if is_archive(u.name)])
    if not notebooks:
        found = ", ".join(plain_line(u.name, 60) for u in uploads[:5])
        raise SetAside(f"there is no notebook in it; found: {found}. Ask for the notebook file.")
    wanted = f"{assignment}.ipynb"
    named = [n for n in notebooks if _AGAIN.sub("", n.name.lower()) == wanted]
    if not named and len(notebooks) > 1:
        found = ", ".join(plain_line(n.name, 60) for n in notebooks[:5])
        raise SetAside(f"none of {len(notebooks)} notebooks is called {wanted}; found: {found}.")
    last = max(n.number for n in named or notebooks)
    latest = [n for n in named or notebooks if n.number == last]
    exact = [n for n in latest if n.name.lower() == wanted] or latest
    contents = {_read(n): n for n in exact}
    if len(contents) > 1:
        raise SetAside(
            f"there are {len(contents)} different notebooks called {wanted}, and nothing that the "
            "LMS says tells which one counts."
        )
    ((data, notebook),) = contents.items()
    return Notebook(data, notebook.name, notebook.number, bool(named))


def _in_archives(uploads: Sequence[Upload]) -> list[Upload]:
    """Return the notebooks in the archives that were handed in."""
    budget = Budget(Limits())
    found = []
    for upload in uploads:
        try:
            data = upload.read(budget.limits.entry_bytes)
            files = find_files(data, upload.name, ".ipynb", budget)
        except ArchiveRefused as refusal:
            raise SetAside(
                f"{plain_line(upload.name, 60)} is refused: {refusal}. Ask for the notebook alone."
            ) from None
        for file in files:
            name = file.names[-1].rpartition("/")[2]
            found.append(Upload(name, upload.number, functools.partial(_kept, file.data)))
    return found


def _kept(data: bytes, _limit_bytes: int) -> bytes:
    """Return bytes that have been read already."""
    return data


def _read(upload: Upload) -> bytes:
    try:
        data = upload.read(MAX_FILE_BYTES)
    except ArchiveRefused as refusal:
        raise SetAside(f"{plain_line(upload.name, 60)} is refused: {refusal}.") from None
    if len(data) > MAX_FILE_BYTES:
        raise SetAside(
            f"{plain_line(upload.name, 60)} is larger than {MAX_FILE_BYTES >> 20} MB. Ask for it "
            "with its outputs cleared."
        )
    return data
