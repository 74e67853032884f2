"""The roster: which number of the LMS belongs to which student, and when each handed in.

Three kinds of CSV are read: our own (`id,student[,submitted_at]`), the gradebook that Canvas
exports, and the grading worksheet of Moodle, whose headings are in the language of the site.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from shardwork.collect.errors import CollectError
from shardwork.plaintext import plain_line

MAX_ROSTER_BYTES = 16 << 20
_CANVAS_MARKS = {"sis user id", "sis login id", "section"}
_MOODLE_STUDENT = ("username", "ユーザ名", "id number", "idnumber", "idナンバー")
_PARTICIPANT = re.compile(r"[^\d]+([0-9]{1,19})")


class Student(msgspec.Struct, frozen=True):
    """One line of the roster. `submitted_at` is in UTC, or empty where the roster has no time."""

    number: str
    name: str
    submitted_at: str = ""


def read_roster(path: Path) -> dict[str, Student]:
    """Return the roster by the LMS's number; CollectError names the line that cannot be read."""
    rows = _rows(path)
    header = [cell.strip().casefold() for cell in rows[0]]
    number_column, name_columns = _columns(path, header, rows[1:])
    time_column = header.index("submitted_at") if "submitted_at" in header else None
    students: dict[str, Student] = {}
    owners: dict[str, str] = {}
    for line, row in enumerate(rows[1:], start=2):
        cells = [cell.strip() for cell in row] + [""] * (len(header) - len(row))
        number = cells[number_column]
        participant = _PARTICIPANT.fullmatch(number)
        if participant and not number.startswith("anon_"):
            number = participant[1]
        name = next((cells[c] for c in name_columns if cells[c]), "")
        if not number or not name:
            continue  # "Points Possible" of Canvas, and empty lines
        name = unicodedata.normalize("NFC", name)
        key = name.casefold()
        if number in students or key in owners:
            raise CollectError(
                f"{path}, line {line}: {plain_line(name, 60)} (number {plain_line(number, 30)}) "
                "stands twice. Correct the roster, and collect again."
            )
        time = cells[time_column] if time_column is not None else ""
        owners[key] = number
        students[number] = Student(number, name, _time(path, line, time))
    if not students:
        raise CollectError(f"{path} names no student. See docs/ta.md for the form of a roster.")
    return students


def _rows(path: Path) -> list[list[str]]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_ROSTER_BYTES + 1)
        if len(data) > MAX_ROSTER_BYTES:
            raise CollectError(f"{path} is larger than {MAX_ROSTER_BYTES >> 20} MB: no roster.")
        wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
        text = data.decode("utf-16" if wide else "utf-8-sig")
        first = text.partition("\n")[0]
        delimiter = max(",;\t", key=first.count)
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except OSError as error:
        raise CollectError(f"{path} could not be read: {error.strerror}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise CollectError(f"{path} is no CSV in UTF-8: {plain_line(str(error), 100)}.") from error
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if not rows:
        raise CollectError(f"{path} is empty.")
    return rows


def _columns(
    path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]
) -> tuple[int, list[int]]:
    """Return the column of the LMS's number, and those of the student's name, best first."""
    if "student" in header and "id" in header:
        number = header.index("id")
        if not _CANVAS_MARKS & set(header):
            return number, [header.index("student")]
        marks = [header.index(m) for m in ("sis login id", "sis user id") if m in header]
        return number, [*marks, number]
    cells = [row[0].strip() for row in rows]
    if len(header) > 1 and cells and all(_PARTICIPANT.fullmatch(cell) for cell in cells):
        named = [header.index(heading) for heading in _MOODLE_STUDENT if heading in header]
        mail = [c for c in range(2, len(header)) if _all_mail(c, rows)]
        return 0, [*named, *mail, 1]
    raise CollectError(
        f"{path} is no roster: its headings are {plain_line(', '.join(header), 120)}. Give a CSV "
        "with the headings id and student, Canvas's gradebook or Moodle's grading worksheet."
    )


def _all_mail(column: int, rows: Sequence[Sequence[str]]) -> bool:
    return all(len(row) > column and "@" in row[column] for row in rows)


def _time(path: Path, line: int, text: str) -> str:
    """Return a time in the form of nbgrader's `timestamp.txt`; empty if there is none."""
    if not text:
        return ""
    try:
        time = datetime.fromisoformat(re.sub(r" UTC$", "+00:00", text))
        if time.tzinfo is None:
            raise ValueError
        time = time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise CollectError(
            f"{path}, line {line}: {plain_line(text, 40)!r} is no time with its zone. Write it as "
            "2027-01-16T19:00:00+09:00 or 2027-01-16 10:00:00 UTC."
        ) from None
    return time.strftime("%Y-%m-%d %H:%M:%S UTC")
