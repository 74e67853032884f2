"""Where a collected notebook goes, and what is known of the one that stands there.

Beside the submissions, in `submitted/.receipts/`, each collected one has a receipt: what the LMS
said of it. Students' files never get there, so a receipt can be believed.
"""

from __future__ import annotations

import contextlib
import hashlib

import msgspec

from shardwork.collect.errors import SetAside
from shardwork.course import Course
from shardwork.notebookfile import Refused, read_file
from shardwork.wholefile import write_whole

SCHEMA = "shardwork.receipt/1"


class Receipt(msgspec.Struct, frozen=True):
    """What the LMS said of a notebook that was collected; `digest` is the SHA-256 of its bytes."""

    student_number: str
    file_number: int
    submitted_at: str
    late: bool
    digest: str
    schema: str = SCHEMA

    def is_newer_than(self, other: Receipt) -> bool | None:
        """Whether the LMS has this for the later one; None if it does not say."""
        if self.submitted_at and other.submitted_at and self.submitted_at != other.submitted_at:
            return self.submitted_at > other.submitted_at
        if self.file_number and other.file_number:
            return self.file_number > other.file_number
        return False if self.digest == other.digest else None


class Place:
    """The folder of one student's submission."""

    def __init__(self, course: Course, assignment: str, student: str) -> None:
        self._submitted = course.submitted
        self._student = student
        self._assignment = assignment
        self.folder = course.submitted / student / assignment
        self.notebook = self.folder / f"{assignment}.ipynb"
        self._timestamp = self.folder / "timestamp.txt"
        self._receipt = course.submitted / ".receipts" / assignment / f"{student}.json"

    def check(self) -> None:
        """Raise SetAside if nothing may be written here: a link would lead it elsewhere."""
        for folder in (self.folder.parent, self.folder):
            if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
                raise SetAside(f"{folder} is a link or no folder. Remove it, and collect again.")
        for file in (self.notebook, self._timestamp):
            if file.is_dir() and not file.is_symlink():
                raise SetAside(f"{file} is a folder. Remove it, and collect again.")

    def is_taken(self) -> bool:
        """Whether something stands where the notebook goes."""
        return self.notebook.is_symlink() or self.notebook.exists()

    def digest(self) -> str:
        """Return the SHA-256 of the notebook there; empty if it is none that could be read."""
        try:
            data = read_file(self._submitted, self._student, self._assignment)
        except Refused:
            return ""
        return hashlib.sha256(data).hexdigest()

    def receipt(self) -> Receipt | None:
        """Return what the LMS said of the notebook that was collected last."""
        with contextlib.suppress(OSError, msgspec.DecodeError):
            receipt = msgspec.json.decode(self._receipt.read_bytes(), type=Receipt)
            if receipt.schema == SCHEMA:
                return receipt
        return None

    def write(self, data: bytes | None, receipt: Receipt) -> None:
        """Write the notebook (if it is another one), its time and its receipt, each one whole.

        The time goes first and the receipt last, so whoever ends in between collects again and has
        it right: never a new notebook with the time of an old one. Raises MachineError.
        """
        if receipt.submitted_at:
            stamp = f"{receipt.submitted_at}\n".encode()
            write_whole(self._timestamp, stamp)
        elif data is not None:
            self._timestamp.unlink(missing_ok=True)
        if data is not None:
            write_whole(self.notebook, data)
        write_whole(self._receipt, msgspec.json.format(msgspec.json.encode(receipt), indent=1))
