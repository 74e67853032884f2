"""Misconceptions by name: `graders/<assignment>/misconceptions.toml`, validated.

A code is found by a grader; here it gets the sentence that a student reads. The texts are msgids
of the assignment's catalogue.
"""

from __future__ import annotations

import re
import tomllib
from typing import Annotated

import msgspec
from msgspec import Meta

from shardwork.course import Course
from shardwork.errors import CourseError

_CODE = re.compile(r"[A-Z][A-Z0-9_]{1,63}")


class Misconception(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One named misconception.

    `cause` says what the code does and why that is wrong, never the fix. `pointer` names the
    heading of the lesson to read again; `cell` is the id of that lesson's cell.
    """

    cause: Annotated[str, Meta(min_length=1, max_length=1_000)]
    pointer: Annotated[str, Meta(min_length=1, max_length=1_000)]
    cell: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


Misconceptions = dict[str, dict[str, Misconception]]
"""By exercise, then by code."""


def load_misconceptions(course: Course, assignment: str) -> Misconceptions:
    """Read the misconceptions of `assignment`; none if the file is missing.

    Raises CourseError with the path of the offending value (`at $.key_stats.GROUP_BY_KEY.cause`).
    """
    path = course.graders / assignment / "misconceptions.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CourseError(f"{path}: {error}. Correct the file and try again.") from error
    known = {exercise.name for exercise in course.whole(assignment).exercises}
    found: Misconceptions = {}
    for exercise, codes in table.items():
        if exercise not in known:
            raise CourseError(
                f"{path}: no exercise {exercise!r} in {assignment} - at `$.{exercise}`. "
                f"It has: {', '.join(sorted(known))}."
            )
        if not isinstance(codes, dict):
            raise CourseError(f"{path}: Expected a table per code - at `$.{exercise}`.")
        found[exercise] = {}
        for code, entry in codes.items():
            if not _CODE.fullmatch(code):
                raise CourseError(
                    f"{path}: a code is written LIKE_THIS - at `$.{exercise}.{code}`."
                )
            try:
                found[exercise][code] = msgspec.convert(entry, Misconception)
            except msgspec.ValidationError as error:
                raise CourseError(f"{path}: {_placed(str(error), exercise, code)}") from error
    return found


def _placed(message: str, exercise: str, code: str) -> str:
    """Put the place in the file into msgspec's message, which knows only the innermost part."""
    at = f"$.{exercise}.{code}"
    if " - at `$" in message:
        return message.replace(" - at `$", f" - at `{at}", 1)
    return f"{message} - at `{at}`"
