"""What an attack is: data. README.md tells how to add one."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.attacks.scene import Scene, Seen


class Win(enum.Enum):
    """What an attack may win; see threats.md."""

    SCORE = "SCORE"
    PROOF = "PROOF"
    LEAK = "LEAK"
    BATCH = "BATCH"
    STALL = "STALL"
    RES = "RES"
    LEFT = "LEFT"
    ESC = "ESC"


@dataclass(frozen=True)
class Submission:
    """What one student hands in: the released notebook with changes.

    In every text, `@NAME@` is replaced by `Scene.values[NAME]`.
    """

    answers: Mapping[str, str] = field(default_factory=dict)
    """Source of the solution cell, by exercise. Others are honest and wrong (`course.WRONG`)."""
    before: tuple[str, ...] = ()
    """Code cells added before the first exercise, behind the kit's own (which defines `found`)."""
    after: tuple[str, ...] = ()
    """Code cells added behind the last exercise."""
    edit: Callable[[dict[str, Any]], None] | None = None
    """Changes the finished notebook, as JSON."""
    raw: bytes | None = None
    """The file's bytes, in place of everything above."""
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    """More files for the submission's folder, by path in it."""
    prepare: Callable[[Path, Scene], None] | None = None
    """Called last with the submission's folder: links, pipes, devices."""


HONEST = Submission()
"""All answers wrong, nothing else: the twin of most attacks."""


@dataclass(frozen=True)
class Attack:
    """One attack and its honest twin: the same wrong solution without the exploit."""

    id: str
    """The row of threats.md (`A05`), and a letter if a row has several (`A05b`)."""
    title: str
    wins: frozenset[Win] | set[Win]
    """What it tries for. Every detector looks at every attack all the same."""
    submission: Submission
    twin: Submission = HONEST
    assignment: str = "plain"
    budget_s: float = 0.0
    """Wall seconds that its submission may take; 0: what `course.budget_s` says."""
    victims: Mapping[str, Submission] = field(default_factory=dict)
    """Submissions graded right after it, by a suffix of the student's name; see `detect`."""
    detect: Callable[[Seen], list[tuple[Win, str]]] | None = None
    """Looks for a win that the common detectors cannot see."""
    alone: bool = False
    """Whether it gets a batch of its own, one submission at a time."""
    sample: bool = False
    """Whether it is in the sample that `make test` runs."""
    accepted: str = ""
    """Why what it wins (`wins`) is not defended against, and where users are told; else nothing."""
    needs: tuple[str, ...] = ()
    """What the machine must have: `java`, `root`, `cgroup`."""

    @property
    def group(self) -> str:
        return self.id[0]

    @property
    def row(self) -> str:
        return self.id[:3]

    @property
    def student(self) -> str:
        """The student who hands it in; controls come before and behind it in a batch."""
        return f"m-{self.id.lower()}"


KIT = r'''
import re as _re
FOUND = []
def found(*things):
    """Keep whatever looks like a canary in `things`; `tell` tells it when the judge asks."""
    for thing in things:
        if isinstance(thing, (bytes, bytearray)):
            text = bytes(thing).decode("latin-1")
        else:
            text = thing if isinstance(thing, str) else repr(thing)
        for hit in _re.findall(r"cnry[a-z]{2}[0-9a-f]{32}|(?<![0-9])[0-9]{37,40}(?![0-9])", text):
            if hit not in FOUND and len(FOUND) < 30:
                FOUND.append(hit)
'''.lstrip("\n")
"""The first added cell of every submission, twins and controls included. `found(x)` searches x
for anything that has the form of a token, which is more than an attacker would know."""

TELL = 'def tell():\n    return "\\n".join(map(str, FOUND))[:9000]'
