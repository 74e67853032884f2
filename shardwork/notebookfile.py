"""The notebook file that was handed in: read and decoded as hostile input.

A plain file of bounded size, in a folder that no link leads to; JSON of which only what is taken is
built, and the rest skipped. Nothing here knows an assignment: what becomes of the cells is ingest's
business. No source is parsed: whether it is Python at all is found out in the sandbox.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import stat
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Raw

from shardwork.plaintext import filled, plain_line

MAX_FILE_BYTES = 8 << 20
MAX_CELLS = 2_000
MAX_SOURCE_CHARS = 200_000
MAX_LISTED_FILES = 1_000
_SOURCE_BYTES_PER_CHAR = 8  # "\\u0041" is six bytes; the lines of a list have quotes and indents


class Refused(Exception):
    """The submission holds nothing that can be judged.

    `sentence` says why, and is a msgid: a student reads it too. `values` fill its placeholders.
    `next_step` is for the teaching assistant.
    """

    def __init__(self, sentence: str, next_step: str = "", **values: str | int) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.next_step = next_step
        self.values = values

    def __str__(self) -> str:
        said = filled(self.sentence, self.values)
        return f"{said[:1].lower()}{said[1:]} {self.next_step}".rstrip()


class SubmittedCell(msgspec.Struct, frozen=True):
    """What is taken from a submitted cell; nothing else of it is looked at.

    `grading` holds those of nbgrader's marks that are there; None for one that makes no sense.
    """

    kind: str
    id: str
    grade_id: str
    source: str
    grading: dict[str, object]


class SubmittedNotebook(msgspec.Struct, frozen=True):
    """What is taken from a submitted notebook: its cells, and what it says it is."""

    cells: tuple[SubmittedCell, ...]
    assignment: str = ""
    language: str = ""


class _RawCell(msgspec.Struct, frozen=True, gc=False):
    """A submitted cell as the file has it: pieces of JSON of which no value has been made yet."""

    cell_type: Raw = Raw()
    id: Raw = Raw()
    source: Raw = Raw()
    metadata: Raw = Raw()


class _RawNotebook(msgspec.Struct, frozen=True, gc=False):
    cells: list[_RawCell]
    nbformat: Raw = Raw()
    metadata: Raw = Raw()


class _RawMetadata(msgspec.Struct, frozen=True, gc=False):
    """Metadata of a cell (`nbgrader`) or of a notebook (`shardwork`)."""

    nbgrader: Raw = Raw()
    shardwork: Raw = Raw()


class _RawShardwork(msgspec.Struct, frozen=True, gc=False):
    assignment: Raw = Raw()
    language: Raw = Raw()


class _RawGrading(msgspec.Struct, frozen=True, gc=False):
    grade_id: Raw = Raw()
    points: Raw = Raw()
    grade: Raw = Raw()
    locked: Raw = Raw()
    solution: Raw = Raw()
    task: Raw = Raw()
    schema_version: Raw = Raw()
    cell_type: Raw = Raw()


_GRADING_KEYS = tuple(key for key in _RawGrading.__struct_fields__ if key != "grade_id")
T = TypeVar("T")


def read_file(submitted: Path, student: str, assignment: str) -> bytes:
    """Read a file that must be a plain one of bounded size, whatever lies under its name.

    Each step of the path is opened from the one before, so nothing on it can be a link.
    """
    name = f"{assignment}.ipynb"
    with contextlib.ExitStack() as opened:

        def enter(part: str, flags: int, folder: int | None = None) -> int:
            descriptor = os.open(part, os.O_RDONLY | os.O_CLOEXEC | flags, dir_fd=folder)
            opened.callback(os.close, descriptor)
            return descriptor

        folder: int | None = None
        try:
            folder = enter(str(submitted), os.O_DIRECTORY)
            for part in (student, assignment):
                folder = enter(part, os.O_DIRECTORY | os.O_NOFOLLOW, folder)
        except FileNotFoundError:
            raise _nothing_found(name, None) from None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise Refused(
                    "The folder of the submission is a link or no folder.",
                    "Put the folder itself there and grade again.",
                ) from None
            raise _unreadable(assignment, error) from None
        try:
            file = enter(name, os.O_NOFOLLOW | os.O_NONBLOCK, folder)
        except FileNotFoundError:
            raise _nothing_found(name, folder) from None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):
                raise Refused("{name} is a link or a special file.", name=name) from None
            raise _unreadable(name, error) from None
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise Refused("{name} is no plain file.", name=name)
        if status.st_nlink > 1:
            raise Refused(
                "{name} is a hard link: the same file has another name as well.",
                "It may be somebody else's. If you linked it yourself, put a copy in its place and "
                "grade again.",
                name=name,
            )
        with os.fdopen(os.dup(file), "rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise Refused(
            "{name} is larger than {limit_mb} MB. Clear the outputs and save it.",
            "Then grade again.",
            name=name, limit_mb=MAX_FILE_BYTES >> 20,
        )  # fmt: skip
    return data


def _nothing_found(name: str, folder: int | None) -> Refused:
    found: list[str] = []
    if folder is not None:
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            found = sorted(entry.name for entry in itertools.islice(entries, MAX_LISTED_FILES))
    if not found:
        return Refused("There is no {name}; the folder is empty.", name=name)
    return Refused(
        "There is no {name}; found: {found}.",
        "If the notebook has another name, rename it and grade again.",
        name=name,
        found=", ".join(plain_line(n, 60) for n in found[:5]),
    )


def _unreadable(name: str, error: OSError) -> Refused:
    return Refused("{name} could not be read: {why}.", name=name, why=error.strerror or "?")


def decode_notebook(data: bytes) -> SubmittedNotebook:
    """Return what is taken from a notebook file; Refused if it is none, or has too much in it."""
    raw = _parse(data)
    named = _decoded(_decoded(raw.metadata, _RawMetadata).shardwork, _RawShardwork)
    return SubmittedNotebook(
        tuple(_cell(cell) for cell in raw.cells), _text(named.assignment), _text(named.language)
    )


def _parse(data: bytes) -> _RawNotebook:
    """Decode the notebook's outer form; of its cells and metadata nothing is built yet."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        raise Refused("The file is empty.")
    try:
        data.decode()
    except UnicodeDecodeError:
        raise Refused("The file is no notebook: it is not UTF-8 text.") from None
    try:
        try:
            raw = msgspec.json.decode(data, type=_RawNotebook)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            raw = msgspec.json.decode(_strict(data), type=_RawNotebook)
    except msgspec.ValidationError:
        raise Refused("The file is no notebook: it is JSON without a list of cells.") from None
    except (msgspec.DecodeError, RecursionError) as error:
        why = plain_line(str(error), 100).removeprefix("JSON is malformed: ")
        raise Refused("The file is no notebook: it is no JSON ({why}).", why=why) from None
    version = _value(raw.nbformat, 40)
    if version != 4:
        raise Refused(
            "The notebook has format {found}; only format 4 is read. Open it in JupyterLab and "
            "save it.",
            "Then grade again.",
            found=plain_line(bytes(raw.nbformat)[:100].decode("utf-8", "replace"), 40) or "–",
        )
    if len(raw.cells) > MAX_CELLS:
        raise Refused(
            "The notebook has {found} cells; at most {limit} are read.",
            found=len(raw.cells), limit=MAX_CELLS,
        )  # fmt: skip
    return raw


_LOOSE = re.compile(
    rb'(?:[^"NI]++|"[^"\\]*+(?:\\[^u][^"\\]*+)*+")*+'  # what stays as it is, at one go
    rb'(NaN|Infinity|"[^"\\]*+(?:\\.[^"\\]*+)*+"|)',
    re.DOTALL,
)
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a whole pair
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"  # half of one
    rb"|\\.",
    re.DOTALL,
)


def _strict(data: bytes) -> bytes:
    """Return JSON as Python writes it as JSON by the book; whatever is no JSON stays none.

    Jupyter saves a NaN in an output as `NaN`, and half of a cut emoji as half a surrogate pair.
    """
    parts = bytearray()
    at = 0
    while match := _LOOSE.match(data, at):
        parts += data[at : match.start(1)]
        token, at = match[1], match.end()
        if not token:
            break
        if token.startswith(b'"'):
            parts += _ESCAPE.sub(lambda m: b"?" if m[1] else m[0], token)
        else:
            parts += b"null" if token == b"NaN" else b"0"
    return bytes(parts + data[at:])


def _decoded(raw: Raw, kind: type[T]) -> T:
    """Return the object in a piece of JSON, without what is not taken; an empty one if it is none.

    What is skipped costs no memory, however much of it there is.
    """
    text = bytes(raw)
    if text:
        with contextlib.suppress(msgspec.DecodeError, RecursionError):
            return msgspec.json.decode(text, type=kind)
    return kind()


def _value(raw: Raw, limit_bytes: int) -> object:
    """Return the value of a piece of JSON; None if it is not there, too long or cannot be made."""
    text = bytes(raw)
    if not text or len(text) > limit_bytes:
        return None
    try:
        value: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    return value


def _cell(raw: _RawCell) -> SubmittedCell:
    marks = _decoded(_decoded(raw.metadata, _RawMetadata).nbgrader, _RawGrading)
    pieces = {key: getattr(marks, key) for key in _GRADING_KEYS}
    return SubmittedCell(
        kind=_text(raw.cell_type),
        id=_text(raw.id),
        grade_id=_text(marks.grade_id),
        source=_source(raw.source),
        grading={key: _value(piece, 100) for key, piece in pieces.items() if bytes(piece)},
    )


def _source(raw: Raw) -> str:
    """Return the text of a cell: a text or a list of them, and empty if it is neither."""
    limit_bytes = MAX_SOURCE_CHARS * _SOURCE_BYTES_PER_CHAR
    text = bytes(raw)
    source = ""
    length = len(text) // _SOURCE_BYTES_PER_CHAR
    if text and len(text) <= limit_bytes:
        with contextlib.suppress(msgspec.DecodeError, RecursionError):
            source = "".join(msgspec.json.decode(text, type=str | list[str]))
            length = len(source)
    if length > MAX_SOURCE_CHARS or len(text) > limit_bytes:
        raise Refused(
            "A cell holds {found} characters; at most {limit} are read.",
            found=length, limit=MAX_SOURCE_CHARS,
        )  # fmt: skip
    return source.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _text(raw: Raw) -> str:
    value = _value(raw, 2_000)
    return plain_line(value, 100) if isinstance(value, str) else ""
