"""Text of unknown origin, made fit to show."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardwork.plaintext import filled, plain, plain_line

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x\x07link\x1b]8;;\x07", "link"),
        ("\x1bPq#0\x1b\\after", "after"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("a\0b\x07\x7f", "a␀b␇⟨U+007F⟩"),
        ("x\u202ecba", "x⟨U+202E⟩cba"),
        ("a\u200bb", "a⟨U+200B⟩b"),
        ("\ud800", "\N{REPLACEMENT CHARACTER}"),
        ("表を結合します。\tOK\n", "表を結合します。\tOK\n"),
        ("é — “quoted” 😀", "é — “quoted” 😀"),
    ],
)
def test_what_cannot_be_seen_is_removed_or_shown(raw: str, shown: str) -> None:
    assert plain(raw) == shown


@given(st.text(alphabet=st.characters(), max_size=200))
def test_nothing_invisible_comes_through(text: str) -> None:
    hidden = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert not [c for c in plain(text) if unicodedata.category(c) in hidden and c not in "\n\t"]


@given(st.text(max_size=300), st.integers(1, 50), st.integers(1, 5))
def test_a_text_is_bounded_in_characters_and_lines(text: str, chars: int, lines: int) -> None:
    shown = plain(text, limit_chars=chars, limit_lines=lines)
    assert len(shown) <= chars + 1
    assert shown.count("\n") < lines


def test_a_text_that_was_cut_says_so_and_one_that_was_not_does_not() -> None:
    assert plain("abcdef", limit_chars=3) == "abc…"
    assert plain("a\nb\nc", limit_lines=2) == "a\nb…"
    assert plain("abc", limit_chars=3) == "abc"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("unit", ["\x1b]", "\x1bP", "\x1b[", "\u202e", "\r"])
def test_a_hundred_megabytes_of_the_worst_case_are_cut_at_once(unit: str) -> None:
    assert len(plain(unit * (100_000_000 // len(unit)))) <= 4_001


def test_a_line_is_one_line() -> None:
    assert plain_line("a \n\n b\tc ") == "a b c"


@pytest.mark.parametrize(
    ("sentence", "values", "said"),
    [
        ("{n} of {m:.1f}", {"n": 3, "m": 4.04}, "3 of 4.0"),
        ("{big:,} bytes", {"big": 361784}, "361,784 bytes"),
        ("{unknown} stays", {"n": 1}, "{unknown} stays"),
        ("a student's {'key': 1} and {0} stay", {"n": 1}, "a student's {'key': 1} and {0} stay"),
        ("{n.__class__} and {n[0]}", {"n": 1}, "{n.__class__} and {n[0]}"),
        ("{text:.1f}", {"text": "no number"}, "no number"),
        ("{a}", {"a": "{b}", "b": "twice"}, "{b}"),
        ("{n:999999999d} stays", {"n": 1}, "{n:999999999d} stays"),
        ("{n:.99f} stays", {"n": 1}, "{n:.99f} stays"),
        ("{n:x>99999999} stays", {"n": "x"}, "{n:x>99999999} stays"),
        ("{share:.1%} and {n:+,d}", {"share": 0.25, "n": 1234}, "25.0% and +1,234"),
        ("{n} and {n:,}", {"n": 10**5000}, "… and …"),
    ],
)  # fmt: skip
def test_a_sentence_is_filled_and_nothing_else_is_read(
    sentence: str, values: dict[str, object], said: str
) -> None:
    assert filled(sentence, values) == said
