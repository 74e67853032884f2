"""The names that Canvas and Moodle give to files in a download, and whose files they are.

Canvas joins the student's name, a late mark, its number of the student, its number of the file and
the file's name with underscores. The student chooses the file's name and, on some sites, the own
name: both may hold underscores and numbers. So a name is read in every way that it can be, and one
is believed only if the others cannot be meant. Moodle has no underscore in the part before its
number, and so there is one reading. (Canvas: `lib/content_zipper.rb`; Moodle: `mod/assign`.)
"""

from __future__ import annotations

import enum
import re
from collections.abc import Container, Sequence

import msgspec

from shardwork.collect.errors import SetAside
from shardwork.plaintext import plain_line

_NUMBER = re.compile(r"[0-9]{1,19}")
_MOODLE = re.compile(r"[^_/]*_([0-9]{1,19})_assignsubmission_([a-z]+)(?:_?/|_)(.+)", re.DOTALL)
_CANVAS_TEXT = re.compile(r"[^/]*_(text|link)\.html")


class Lms(enum.Enum):
    """Where a download comes from."""

    CANVAS = "canvas"
    MOODLE = "moodle"


class Claim(msgspec.Struct, frozen=True):
    """One reading of a name: whose file it is, and what the student calls it.

    `file_number` is the LMS's own and grows with time; 0 where there is none. `sure` says that the
    name cannot be read in another way.
    """

    student_number: str
    file_name: str
    file_number: int = 0
    late: bool = False
    sure: bool = True


def which_lms(names: Sequence[str]) -> Lms:
    """Return the LMS whose names most of these are."""
    moodle = sum(_MOODLE.fullmatch(name) is not None for name in names)
    return Lms.MOODLE if 2 * moodle > len(names) else Lms.CANVAS


def without_common_folder(names: Sequence[str]) -> dict[str, str]:
    """Return each name without the one folder that all lie in, if somebody packed them so.

    A folder that says whose files are in it stays.
    """
    tops = {name.partition("/")[0] for name in names if "/" in name}
    if len(tops) == 1 and all("/" in name for name in names):
        (top,) = tops
        if not _canvas_readings(top + "_x") and not _MOODLE.fullmatch(top + "/x"):
            return {name: name.partition("/")[2] for name in names}
    return {name: name for name in names}


def claim_of(name: str, lms: Lms, roster: Container[str] | None) -> Claim:
    """Return whose file this is; SetAside if the name alone, and the roster, do not decide it."""
    if lms is Lms.MOODLE:
        return _moodle_claim(name)
    readings = _canvas_readings(name)
    if not readings:
        if _CANVAS_TEXT.fullmatch(name):
            raise SetAside("it was handed in as text or as a link. Ask for the notebook file.")
        raise SetAside("the name is not one that Canvas gives. Put the file in its place by hand.")
    if len(readings) == 1:
        return readings[0]
    if roster is None:
        numbers = ", ".join(dict.fromkeys(r.student_number for r in readings[:5]))
        raise SetAside(
            f"the name can be read as one of several students ({numbers}). Collect again with "
            "--roster, or put the file in its place by hand."
        )
    known = [reading for reading in readings if reading.student_number in roster]
    # A file's name stands behind the true numbers, so it cannot bring another student to the front.
    if len(known) != 1 or known[0] != readings[0]:
        numbers = ", ".join(dict.fromkeys(r.student_number for r in (known or readings)[:5]))
        raise SetAside(
            f"the name can be read as one of several students ({numbers}), and the roster does "
            "not decide it. Look in Canvas, and put the file in its place by hand."
        )
    return msgspec.structs.replace(known[0], sure=False)


def _moodle_claim(name: str) -> Claim:
    match = _MOODLE.fullmatch(name)
    if match is None:
        raise SetAside("the name is not one that Moodle gives. Put the file in its place by hand.")
    number, kind, path = match.groups()
    if kind != "file":
        raise SetAside(
            f"it was handed in as {plain_line(kind, 20)}, not as a file. Ask for the notebook file."
        )
    return Claim(number, path.rpartition("/")[2])


def _canvas_readings(name: str) -> list[Claim]:
    """Return every way to read a name: two numbers beside each other, or an anonymous mark."""
    parts = name.split("_")
    found = []
    for at in range(1, len(parts) - 2):
        number, file_number = parts[at], parts[at + 1]
        if not _NUMBER.fullmatch(file_number):
            continue
        before = parts[at - 1].lower()
        if _NUMBER.fullmatch(number):
            late = before == "late" and at > 1
            found.append(_canvas_claim(number, parts, at, late))
        front = [part.lower() for part in parts[:at]]
        if front in (["anon"], ["late", "anon"]) and number.isascii() and number.isalnum():
            found.append(_canvas_claim(f"anon_{number}", parts, at, at == 2))
    return found


def _canvas_claim(number: str, parts: Sequence[str], at: int, late: bool) -> Claim:
    return Claim(number, "_".join(parts[at + 2 :]), int(parts[at + 1]), late)
