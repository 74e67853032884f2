"""Text of unknown origin made fit to show: bounded, and nothing in it invisible.

What a student's code printed, raised or named may hold terminal escapes, characters that reverse
the reading direction, or megabytes. `plain` is applied to all of it before it meets a page, a
terminal or a notebook. It does not escape HTML: the templates do, after this.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

_TERMINAL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC: titles, links
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"  # DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-~]"  # the two-byte ones
)
_PLACEHOLDER = re.compile(
    r"\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::(?P<spec>\+?,?(?:\.\d)?[dfeg%]?))?\}"
)
_SUSPECT = re.compile(r"[^\n\t -~\u3040-\u30ff\u4e00-\u9fff]")


def plain(text: str, limit_chars: int = 4_000, limit_lines: int = 60) -> str:
    """Return `text` without terminal sequences, with invisible characters shown, and bounded.

    Line ends become `\\n`; other control characters become their picture (`␀`); format characters
    (reading direction, zero width) become `⟨U+202E⟩`; half a surrogate pair becomes `�`. A text
    over a limit ends in `…`. The result never has more than `limit_chars` + 1 characters.
    """
    text = text[: 8 * limit_chars + 1_000]  # a bound on the work, far above the bound on the result
    text = _TERMINAL.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    text = _SUSPECT.sub(_shown, text)
    lines = text.split("\n", limit_lines)
    cut = len(lines) > limit_lines
    text = "\n".join(lines[:limit_lines])
    if len(text) > limit_chars:
        cut, text = True, text[:limit_chars]
    return text + "…" if cut else text


def plain_line(text: str, limit_chars: int = 400) -> str:
    """Return `text` as one bounded line: `plain`, with runs of white space made one blank."""
    return " ".join(plain(text, limit_chars, limit_lines=20).split())


def filled(sentence: str, values: Mapping[str, object]) -> str:
    """Return `sentence` with its `{name}` and `{name:spec}` placeholders filled from `values`.

    Unlike `str.format` it reads no attribute or item of a value, and what cannot be filled stays as
    it is: a sentence with braces of a student's in it is no error. A spec says sign, thousands,
    digits and kind of a number (`{share:.1%}`); one that sets a width could ask for gigabytes.
    """

    def value_of(match: re.Match[str]) -> str:
        if match["name"] not in values:
            return match[0]
        value = values[match["name"]]
        try:
            return format(value, match["spec"]) if match["spec"] else _text(value)
        except (ValueError, TypeError):
            return _text(value)

    return _PLACEHOLDER.sub(value_of, sentence)


def _text(value: object) -> str:
    try:
        return str(value)
    except ValueError:  # an int of more than 4,300 digits
        return "…"


def _shown(match: re.Match[str]) -> str:
    character = match[0]
    category = unicodedata.category(character)
    if category == "Cs":
        return "\N{REPLACEMENT CHARACTER}"
    if category == "Cc" and ord(character) < 0x20:
        return chr(0x2400 + ord(character))
    if category in {"Cc", "Cf", "Zl", "Zp"}:
        return f"⟨U+{ord(character):04X}⟩"
    return character
