"""Honest code as it would stand in a notebook, kept in text files beside this module.

`=== name` begins an entry, `--- kind` one of its sections, up to the next such line:

- `answer product`: the solution cell of that exercise;
- `before`, `after`: a code cell in front of the first exercise, or behind the last;
- `around`: lines of a wrapper of every answer, which call `answer(*args)`;
- `raises 2`: so many of its cells end with an exception, which is no crime.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.attacks.course import POINTS

FOLDER = Path(__file__).parent


@dataclass
class Snippet:
    """One entry of a file."""

    name: str
    answers: dict[str, str] = field(default_factory=dict)
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    raises: int = 0


def read_snippets(name: str) -> list[Snippet]:
    """Return the entries of `name`.txt in this folder, in order."""
    found: list[Snippet] = []
    for kind, argument, text in _sections((FOLDER / f"{name}.txt").read_text(encoding="utf-8")):
        if kind == "===":
            found.append(Snippet(argument))
        elif kind == "answer":
            found[-1].answers[argument] = text
        elif kind == "raises":
            found[-1].raises = int(argument)
        elif kind == "around":
            found[-1].after.append(_wrapping(text))
        else:
            {"before": found[-1].before, "after": found[-1].after}[kind].append(text)
    return found


def _sections(text: str) -> Iterator[tuple[str, str, str]]:
    kind = argument = ""
    lines: list[str] = []
    for line in [*text.splitlines(), "--- end"]:
        if not line.startswith(("=== ", "--- ")):
            lines.append(line)
            continue
        if kind:
            yield kind, argument, "\n".join(lines).rstrip("\n")
        lines = []
        if line.startswith("=== "):
            kind, argument = "===", line.removeprefix("=== ")
        else:
            kind, _, argument = line.removeprefix("--- ").partition(" ")


def _wrapping(body: str) -> str:
    lines = "\n".join(f"        {line}" for line in body.splitlines())
    names = ", ".join(repr(name) for name in POINTS["plain"] if name != "tell")
    return (
        "import functools\n"
        "def _habit(answer):\n"
        "    @functools.wraps(answer, assigned=())\n"
        "    def wrapper(*args):\n"
        f"{lines}\n"
        "    return wrapper\n"
        f"for _name in ({names}):\n"
        "    globals()[_name] = _habit(globals()[_name])"
    )
