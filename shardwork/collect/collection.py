"""Collecting a whole download: one submission after the other, none in the way of another."""

from __future__ import annotations

import enum
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from shardwork.archive import Archive, Entry
from shardwork.collect.choice import Notebook, Upload, choose
from shardwork.collect.download import opened
from shardwork.collect.errors import CollectError, SetAside
from shardwork.collect.layout import Place, Receipt
from shardwork.collect.lms import Claim, Lms, claim_of, which_lms, without_common_folder
from shardwork.collect.roster import Student, read_roster
from shardwork.course import Assignment, Course
from shardwork.errors import NothingMatched, ShardworkError
from shardwork.plaintext import plain_line
from shardwork.recordfile import check_student

SCHEMA = "shardwork.collect/1"


class State(enum.Enum):
    """What became of one submission, or of one file that is nobody's."""

    NEW = "new"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"
    KEPT = "kept"  # another notebook stands there, and rightly: newer, or mended by hand
    SET_ASIDE = "set aside"  # a person decides; `reason` says what


class Item(msgspec.Struct, frozen=True):
    """One submission after a collection; `student` is empty for a file whose owner is unknown.

    `file` is the LMS's name of the file that counts, or of the one that was set aside. `late` is
    the LMS's own mark. `submitted_at` is empty where no time is known.
    """

    state: State
    student: str
    file: str
    reason: str = ""
    late: bool = False
    submitted_at: str = ""


class Collection(msgspec.Struct, frozen=True):
    """What came of a download. `dry_run` says that nothing was written."""

    assignment: str
    lms: Lms
    items: tuple[Item, ...]
    dry_run: bool = False
    schema: str = SCHEMA

    def count(self, state: State) -> int:
        return sum(item.state is state for item in self.items)


def collect(
    course: Course,
    assignment: Assignment,
    download: Path,
    *,
    roster: Path | None = None,
    force: bool = False,
    dry_run: bool = False,
) -> Collection:
    """Put the notebooks of a download into `submitted/`, and say what became of each.

    A notebook that stands there already gives way to one that the LMS has for the later one, or to
    any with `force`. Raises CollectError if the download or the roster cannot be used,
    NothingMatched if nobody handed anything in, MachineError if the disk is full; a bad submission
    is set aside and never raises.
    """
    students = read_roster(roster) if roster is not None else None
    with opened(download) as archive:
        entries = {e.name: e for e in archive.entries if not e.is_folder and not _is_litter(e.name)}
        names = without_common_folder(list(entries))
        if not names:
            raise NothingMatched(f"{download} is empty: nobody handed anything in.")
        lms = which_lms(list(names.values()))
        if lms is Lms.MOODLE and students is None:
            raise CollectError(
                "Moodle numbers the participants of each assignment anew, so their names are "
                "needed: download the grading worksheet and give it with --roster."
            )
        run = _Run(course, assignment, archive, students, force, dry_run)
        items = [run.aside("", name, why) for name, why in run.sort(names, entries, lms)]
        items += [run.collect(number) for number in sorted(run.numbers)]
    return Collection(
        assignment.name, lms, tuple(sorted(items, key=lambda i: (i.student, i.file))), dry_run
    )


def _is_litter(name: str) -> bool:
    """Whether a system wrote the file on its own."""
    return "__MACOSX" in name.split("/") or name.rpartition("/")[2] in {".DS_Store", "Thumbs.db"}


class _Run:
    """One collection: the uploads by student, and what is to be done with them."""

    def __init__(
        self,
        course: Course,
        assignment: Assignment,
        archive: Archive,
        students: Mapping[str, Student] | None,
        force: bool,
        dry_run: bool,
    ) -> None:
        self._course = course
        self._assignment = assignment
        self._archive = archive
        self._students = students
        self._force = force
        self._dry_run = dry_run
        self._claims: dict[str, list[tuple[Claim, Entry]]] = defaultdict(list)

    @property
    def numbers(self) -> Sequence[str]:
        """The LMS's numbers of those who handed in."""
        return list(self._claims)

    def sort(
        self, names: Mapping[str, str], entries: Mapping[str, Entry], lms: Lms
    ) -> list[tuple[str, str]]:
        """Give each file to its student; return those that are nobody's, with the reason."""
        orphans: list[tuple[str, str]] = []
        unsure: list[tuple[Claim, Entry]] = []
        for name, short in names.items():
            try:
                claim = claim_of(short, lms, self._students)
                self._student(claim.student_number)
            except SetAside as aside:
                orphans.append((name, str(aside)))
                continue
            if claim.sure:
                self._claims[claim.student_number].append((claim, entries[name]))
            else:
                unsure.append((claim, entries[name]))
        for claim, entry in unsure:
            if any(other.sure for other, _ in self._claims.get(claim.student_number, ())):
                orphans.append(
                    (
                        entry.name,
                        f"the name can be read as one of {claim.student_number}, who handed in "
                        "another file without any doubt. Look in the LMS whose it is.",
                    )
                )
            else:
                self._claims[claim.student_number].append((claim, entry))
        return orphans

    def collect(self, number: str) -> Item:
        """Take in what one student handed in."""
        claims = self._claims[number]
        student = self._student(number)
        shown = claims[0][1].name
        try:
            check_student(student.name)
            place = Place(self._course, self._assignment.name, student.name)
            place.check()
            notebook = choose([self._upload(c, e) for c, e in claims], self._assignment.name)
        except SetAside as aside:
            return self.aside(student.name, shown, str(aside))
        except ShardworkError as error:  # a name that no folder can have
            return self.aside(student.name, shown, str(error))
        claim, entry = next((c, e) for c, e in claims if c.file_number == notebook.number)
        receipt = Receipt(
            number, notebook.number, student.submitted_at, claim.late,
            hashlib.sha256(notebook.data).hexdigest(),
        )  # fmt: skip
        state, reason = _decided(place, receipt, self._force)
        if not self._dry_run and state not in (State.KEPT, State.SET_ASIDE):
            place.write(None if state is State.UNCHANGED else notebook.data, receipt)
        return self._item(state, student, entry, notebook, claim, reason)

    def aside(self, student: str, name: str, reason: str) -> Item:
        return Item(
            State.SET_ASIDE, plain_line(student, 80), plain_line(name, 200), plain_line(reason, 600)
        )

    def _item(
        self, state: State, student: Student, entry: Entry, notebook: Notebook, claim: Claim,
        reason: str,
    ) -> Item:  # fmt: skip
        notes = [reason] if reason else []
        if not notebook.is_named:
            notes.append(f"its name was {plain_line(notebook.name, 60)}")
        if claim.late and not student.submitted_at:
            notes.append("marked late, and no time is known: see docs/ta.md")
        return Item(
            state, student.name, plain_line(entry.name, 200), "; ".join(notes), claim.late,
            student.submitted_at,
        )  # fmt: skip

    def _student(self, number: str) -> Student:
        if self._students is None:
            return Student(number, number)
        if number not in self._students:
            raise SetAside(f"the number {number} is not in the roster. Add it, and collect again.")
        return self._students[number]

    def _upload(self, claim: Claim, entry: Entry) -> Upload:
        return Upload(
            claim.file_name, claim.file_number, lambda limit: self._archive.read(entry, limit)
        )


def _decided(place: Place, new: Receipt, force: bool) -> tuple[State, str]:
    """Say what is done with a notebook, in view of what stands in its place."""
    if not place.is_taken():
        return State.NEW, ""
    there, old = place.digest(), place.receipt()
    newer = None if old is None else new.is_newer_than(old)
    by_hand = old is not None and old.digest != there
    if force and there != new.digest:
        decided = State.REPLACED, ""
    elif old is not None and old.is_newer_than(new):
        decided = State.KEPT, "what stands there is newer"
    elif there == new.digest:
        decided = State.UNCHANGED, ""
    elif newer:
        decided = State.REPLACED, "the one before had been changed by hand" if by_hand else ""
    elif newer is False and by_hand:
        decided = State.KEPT, "it was changed by hand since it was collected"
    else:
        decided = State.SET_ASIDE, _UNDECIDED
    return decided


_UNDECIDED = (
    "another notebook stands there, and nothing that the LMS says tells which is newer. Collect "
    "with --force to replace it."
)
