"""Records on disk: `records/<assignment>/<student>.json`.

A record is written whole or not at all, so an interrupted batch leaves every record either as it
was or as it is now. This module neither makes a record nor decides whether one is still current.
"""

from __future__ import annotations

import hashlib
import unicodedata
from pathlib import Path
from typing import Any

import msgspec

from shardwork.course import Course
from shardwork.errors import ShardworkError
from shardwork.plaintext import plain_line
from shardwork.record import SCHEMA, Record
from shardwork.wholefile import write_whole

STUDENT_LIMIT_BYTES = 200
"""Longest student name, as UTF-8; leaves room for a suffix in a file name of 255 bytes."""


class _Head(msgspec.Struct):
    schema: str = ""


def check_student(student: str) -> str:
    """Return `student` if it can be a folder's name; ShardworkError says why if it cannot.

    A name is one path component: no separator, no control or invisible character, no leading dot,
    no blank at either end, no pattern character (nbgrader looks for folders by pattern), nothing
    that begins or ends HTML (formgrader's pages do not escape names), at most 200 bytes.
    """
    problem = ""
    if not student:
        problem = "is empty"
    elif "/" in student or "\\" in student:
        problem = "holds a path separator"
    elif any(c in "*?[" for c in student):
        problem = "holds one of * ? [, which nbgrader reads as a pattern"
    elif any(c in '<>"' for c in student):
        problem = 'holds one of < > ", which formgrader would write into its pages as it is'
    elif student.startswith("."):
        problem = "begins with a dot"
    elif student != student.strip():
        problem = "begins or ends with a blank"
    elif any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in student):
        problem = "holds an invisible character"
    elif len(student.encode()) > STUDENT_LIMIT_BYTES:
        problem = f"is longer than {STUDENT_LIMIT_BYTES} bytes"
    if problem:
        raise ShardworkError(
            f"Student name {plain_line(student, 80)!r} {problem}, so no folder can have it. "
            "Rename the student's folder in submitted/."
        )
    return student


def record_path(course: Course, assignment: str, student: str) -> Path:
    """Return where the record of `student` lies; ShardworkError if the name is no folder name."""
    return course.records / assignment / f"{check_student(student)}.json"


def write_record(course: Course, record: Record) -> Path:
    """Write `record` atomically and return its path; the record before it stays until then.

    Raises MachineError if the disk is full or not writable.
    """
    path = record_path(course, record.assignment, record.student)
    write_whole(path, _encode(record))
    return path


def read_record(path: Path) -> Record:
    """Return the record in `path`.

    Raises FileNotFoundError if there is none; ShardworkError, naming the file and the place in it,
    if it is broken, is of a schema that this version does not know, or belongs to another student
    or assignment.
    """
    data = path.read_bytes()
    again = (
        f"Delete it and run `shardwork grade {path.parent.name} --student {path.stem}` to make it "
        "anew."
    )
    try:
        schema = msgspec.json.decode(data, type=_Head).schema
        if schema != SCHEMA:
            raise ShardworkError(
                f"{path}: schema {plain_line(schema, 80)!r} is not {SCHEMA!r}; another version of "
                f"Shardwork wrote it. Use that version, or: {again[0].lower()}{again[1:]}"
            )
        record = msgspec.json.decode(data, type=Record)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ShardworkError(f"{path} is no record: {error}. {again}") from error
    if (record.assignment, record.student) != (path.parent.name, path.stem):
        raise ShardworkError(
            f"{path} holds the record of {record.assignment}/{record.student}. Move it to where it "
            "belongs, or delete it."
        )
    return record


def read_records(course: Course, assignment: str) -> list[Record]:
    """Return all records of `assignment`, by student; an empty list if there are none.

    Raises ShardworkError for the first that cannot be read.
    """
    records, problems = readable_records(course, assignment)
    if problems:
        raise ShardworkError(problems[0])
    return records


def readable_records(course: Course, assignment: str) -> tuple[list[Record], list[str]]:
    """Return the records of `assignment` that can be read, and a sentence for each that cannot."""
    folder = course.records / assignment
    records, problems = [], []
    for path in sorted(p for p in folder.glob("*.json") if not p.name.startswith(".")):
        try:
            records.append(read_record(path))
        except ShardworkError as error:
            problems.append(str(error))
    return sorted(records, key=lambda record: record.student), problems


def record_digest(record: Record) -> str:
    """Return the SHA-256 of the record as it is written: two equal records have equal digests."""
    return hashlib.sha256(_encode(record)).hexdigest()


def _encode(record: Record) -> bytes:
    """Return a record as it is written. What is written can be read, or this raises."""
    try:
        data = msgspec.json.encode(record)
    except UnicodeEncodeError:  # half a surrogate pair, out of a student's text
        data = msgspec.json.encode(_encodable(msgspec.to_builtins(record)))
    # Once more through the types: 0 points and 0.0 points are equal and must have the same bytes.
    canonical = msgspec.json.decode(data, type=Record)
    data = msgspec.json.encode(canonical, order="deterministic")
    return msgspec.json.format(data, indent=1) + b"\n"


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", errors="replace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(item) for item in value]
    return value
