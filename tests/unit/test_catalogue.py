"""Translations: what is looked up, where it is put back, and what is counted."""

from __future__ import annotations

import ast
import copy
import inspect
from pathlib import Path

import polib
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shardwork import catalogue as cat
from shardwork.catalogue import Catalogue, Counts
from shardwork.errors import CourseError
from shardwork.prose import map_blocks, map_docstrings, map_messages
from tests.functional.small_course import (
    GRADER,
    JAPANESE,
    LESSON,
    MISSING,
    PUBLIC_CHECK,
    make_small_course,
    po_text,
    source_notebook,
    write,
)

pytestmark = pytest.mark.unit


@pytest.fixture
def course(tmp_path: Path):
    return make_small_course(tmp_path / "course")


def blocks_of(markdown: str) -> list[str]:
    found: list[str] = []
    map_blocks(markdown, lambda block: found.append(block) or block)  # type: ignore[func-returns-value]
    return found


def upper(text: str) -> str:
    return text.upper()


# --- markdown -------------------------------------------------------------------------------------


def test_a_lesson_is_cut_at_blank_lines_outside_code_fences():
    assert blocks_of(LESSON) == [
        "## Cutting a list",
        "A list is cut at an index.\nThe two parts share nothing.",
        "- An empty list has two empty halves.",
    ]


def test_a_fence_without_a_blank_line_before_it_belongs_to_its_paragraph():
    text = "Look:\n```\na = 1\n\nb = 2\n```\nSo it is.\n\nNext."
    assert blocks_of(text) == ["Look:\n```\na = 1\n\nb = 2\n```\nSo it is.", "Next."]


@pytest.mark.parametrize(
    "text",
    ["```\ncode\n\ncode\n```", "~~~py\ncode\n~~~", "$$x = \\alpha$$", "---", "````\n```\n````", ""],
)
def test_code_formulas_and_rules_are_not_offered_to_the_translator(text):
    assert blocks_of(text) == []


def test_a_tilde_line_does_not_end_a_fence_of_backticks():
    assert blocks_of("```\na\n~~~\n\nb\n```\n\nText.") == ["Text."]


def test_everything_between_the_blocks_stays_where_it_is():
    assert map_blocks("\n\none\n \n\n\ntwo\n", upper) == "\n\nONE\n \n\n\nTWO\n"


@given(st.text(alphabet="ab`~\n $é日\r\u2028", max_size=60))
def test_an_untranslated_lesson_comes_back_unchanged(text):
    assert map_blocks(text, lambda block: block) == text


# --- docstrings -----------------------------------------------------------------------------------

FUNCTION = '''\
x = "漢字"; y = 1
def f(a):
    """First line.

    a: indented
        more
    """
    ### BEGIN SOLUTION
    def inner():
        """Secret."""
    return "First line."
    ### END SOLUTION
'''


def test_a_docstring_is_replaced_in_its_layout_and_the_code_stays():
    msgid = "First line.\n\na: indented\n    more"
    translated = map_docstrings(FUNCTION, {msgid: '一行目。\n\na: "字下げ"\n    続き'}.__getitem__)
    assert translated == FUNCTION.replace(
        "First line.\n\n    a: indented\n        more",
        ('一行目。\n\n    a: "字下げ"\n        続き'),
    )


def test_a_docstring_inside_the_solution_region_is_not_offered():
    found: list[str] = []
    map_docstrings(FUNCTION, lambda text: found.append(text) or text)  # type: ignore[func-returns-value]
    assert found == ["First line.\n\na: indented\n    more"]


@example('a """ b', '"""Old."""')
@example('a """ b', 'r"""Old."""')
@example("ends with a \\", 'r"""Old."""')
@example('""""\\', '"""Old."""')
@given(
    st.text(alphabet="ab\\\"'\n 日\t{}", max_size=40).map(inspect.cleandoc).filter(str.strip),
    st.sampled_from(['"""Old."""', "'Old.'", 'r"""Old."""', '"""\n    Old.\n    """']),
)
def test_any_translation_becomes_the_docstring_and_nothing_else_changes(text, old):
    source = f"def f(a):\n    {old}\n    return 'Old.', a\n"
    tree = ast.parse(map_docstrings(source, lambda _: text))
    assert lines_of(ast.get_docstring(tree.body[0]) or "") == lines_of(text)
    assert ast.dump(tree.body[0].body[1]) == ast.dump(ast.parse(source).body[0].body[1])


def lines_of(docstring: str) -> list[str]:
    """Return the lines without what a docstring cannot keep: space in empty lines, blank ends."""
    lines = [line if line.strip() else "" for line in inspect.cleandoc(docstring).split("\n")]
    return "\n".join(lines).rstrip("\n").split("\n")


def test_methods_and_classes_have_their_docstrings_translated():
    source = 'class A:\n    """A."""\n    def m(self):\n        """M."""\n'
    translated = map_docstrings(source, lambda text: text + "\nx")
    assert ast.get_docstring(ast.parse(translated).body[0].body[1]) == "M.\nx"
    assert '        """M.\n        x"""' in translated


# --- messages of public checks --------------------------------------------------------------------


def test_the_messages_of_a_public_check_are_offered_in_the_order_of_reading():
    found: list[str] = []
    map_messages(PUBLIC_CHECK, lambda text: found.append(text) or text)  # type: ignore[func-returns-value]
    assert found == [
        "Both parts are there.",
        "A part is missing.",
        "Return a tuple.",
        "There are {len(parts)} parts, not two.",
    ]


def test_untranslated_messages_leave_the_file_as_it_is():
    assert map_messages(PUBLIC_CHECK, lambda text: text) == PUBLIC_CHECK


def test_a_translated_f_string_keeps_its_placeholders_working():
    source = 'n = 3\nd = {"k": 1.5}\nassert False, f"n is {n}, {d[\'k\']:.2f} and {{x}}"\n'
    msgid = "n is {n}, {d['k']:.2f} and {{x}}"
    translated = map_messages(source, {msgid: "{d['k']:.2f}と{n}と{{x}}"}.__getitem__)
    with pytest.raises(AssertionError, match=r"1\.50と3と\{x\}"):
        exec(compile(translated, "check", "exec"), {})


@pytest.mark.parametrize("answer", ["no placeholder", "{m} is wrong", "{n", "{n} {n!r}"])
def test_a_translation_with_other_placeholders_is_refused(answer):
    with pytest.raises(CourseError, match="same placeholders"):
        map_messages('assert x, f"n is {n}"', lambda _: answer)


def test_sentences_that_are_filled_in_later_are_translated_and_keys_are_not():
    source = 'assert x, "got %d of them" % d["n of"] + ", ".join(names) + "{} is new".format(a)'
    found: list[str] = []
    map_messages(source, lambda text: found.append(text) or text)  # type: ignore[func-returns-value]
    assert found == ["got %d of them", "{} is new"]
    with pytest.raises(CourseError, match="same placeholders"):
        map_messages(source, lambda text: "多い")


def test_what_a_raise_says_is_translated_too():
    assert map_messages('raise AssertionError("Too few.")', lambda _: "少ない。") == (
        'raise AssertionError("少ない。")'
    )


def test_adjacent_literals_are_one_message_and_quotes_survive():
    source = 'assert x, (\n    "one "\n    "two"\n)\ny = "日本"; assert y, "three"\n'
    answers = {"one two": 'say "a\\b"\n', "three": "三"}
    translated = map_messages(source, answers.__getitem__)
    messages = [n.msg.value for n in ast.walk(ast.parse(translated)) if isinstance(n, ast.Assert)]
    assert messages == list(answers.values())


# --- notebooks ------------------------------------------------------------------------------------


def test_a_translated_notebook_differs_in_prose_only():
    source = source_notebook()
    before = copy.deepcopy(source)
    nb = cat.translate_notebook(source, Catalogue("ja", "ch0_lists", JAPANESE))
    assert source == before
    assert [c.id for c in nb.cells] == [c.id for c in before.cells]
    assert [c.metadata for c in nb.cells] == [c.metadata for c in before.cells]
    changed = {n.id for n, o in zip(nb.cells, before.cells, strict=True) if n.source != o.source}
    assert changed == {"ch0-lesson", "halves"}


def test_a_missing_translation_falls_back_to_the_english_text():
    nb = cat.translate_notebook(source_notebook(), Catalogue("ja", "ch0_lists"))
    assert nb == source_notebook()


# --- catalogues -----------------------------------------------------------------------------------


def test_a_missing_catalogue_is_an_empty_one(course):
    assert cat.load_catalogue(course, "fr", "ch0_lists") == Catalogue("fr", "ch0_lists")


def test_a_catalogue_gives_the_translation_or_the_text_itself(course):
    japanese = cat.load_catalogue(course, "ja", "ch0_lists")
    assert japanese.gettext("Both parts are there.") == "両方そろっています。"
    assert japanese.gettext("Not there.") == "Not there."
    assert japanese.gettext("") == ""


def test_fuzzy_and_obsolete_entries_are_not_used(course):
    path = cat.catalogue_path(course, "ja", "ch0_lists")
    entries = '\n#, fuzzy\nmsgid "a"\nmsgstr "b"\n\n#~ msgid "c"\n#~ msgstr "d"\n'
    write(path, po_text({}) + entries)
    japanese = cat.load_catalogue(course, "ja", "ch0_lists")
    assert japanese.gettext("a") == "a"
    assert japanese.gettext("c") == "c"
    assert japanese.fuzzy == {"a"}


def test_a_catalogue_that_changes_is_read_again(course):
    path = cat.catalogue_path(course, "ja", "ch0_lists")
    assert cat.load_catalogue(course, "ja", "ch0_lists").gettext("new") == "new"
    write(path, po_text({"new": "新"}))
    assert cat.load_catalogue(course, "ja", "ch0_lists").gettext("new") == "新"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('msgid "a"\nmsgstr "b"\n\nmsgid "c" x"\n', 4),
        ('msgid "a"\nnonsense "b"\n', 2),
        ('msgid "a"\nmsgstr "b"\n\nmsgid "a"\nmsgstr "c"\n', 4),
    ],
)
def test_a_broken_catalogue_is_named_with_its_line(course, text, line):
    path = cat.catalogue_path(course, "ja", "ch0_lists")
    write(path, text)
    with pytest.raises(CourseError) as raised:
        cat.load_catalogue(course, "ja", "ch0_lists")
    assert str(raised.value).startswith(f"{path}, line {line}: ")


def test_a_catalogue_in_another_encoding_is_named(course):
    path = cat.catalogue_path(course, "ja", "ch0_lists")
    path.write_bytes('msgid "a"\nmsgstr "漢"\n'.encode("shift_jis"))
    with pytest.raises(CourseError, match=r"ch0_lists\.po is not UTF-8"):
        cat.load_catalogue(course, "ja", "ch0_lists")


def test_every_text_of_an_assignment_is_extracted_with_its_places(course):
    messages = {m.msgid: m.places for m in cat.extract(course, "ch0_lists")}
    assert set(messages) == set(JAPANESE) | MISSING
    assert messages["Return a tuple."] == ("source/ch0_lists/tests/halves.py",)
    assert messages["## Cutting a list"] == ("source/ch0_lists/ch0_lists.ipynb:ch0-lesson",)


def test_the_line_of_a_check_is_looked_up_as_the_judge_gives_it(course):
    from shardwork.judge.sitting import first_line

    docstring = ast.get_docstring(ast.parse(GRADER).body[1], clean=False)
    line = first_line(docstring)
    assert line == "Every value is in one of the halves."
    assert line in {m.msgid for m in cat.extract(course, "ch0_lists")}


def test_translated_missing_and_outdated_texts_are_counted(course):
    messages = cat.extract(course, "ch0_lists")
    write(
        cat.catalogue_path(course, "ja", "ch0_lists"),
        po_text({**JAPANESE, "Gone.": "なし。"})
        + '\n#, fuzzy\nmsgid "Return a tuple."\nmsgstr "x"\n',
    )
    japanese = cat.load_catalogue(course, "ja", "ch0_lists")
    # JAPANESE has 6 entries in use, MISSING 7; outdated are "Gone." and the fuzzy one.
    assert cat.count(messages, japanese) == Counts(translated=6, missing=7, outdated=2)


def test_a_grader_with_a_syntax_error_is_named_with_its_line(course):
    path = course.graders / "ch0_lists/test_halves.py"
    write(path, GRADER + "\ndef (\n")
    with pytest.raises(CourseError, match=rf"{path}, line {len(GRADER.splitlines()) + 2}: "):
        cat.extract(course, "ch0_lists")


def test_a_broken_misconception_file_is_named(course):
    path = course.graders / "ch0_lists/misconceptions.toml"
    write(path, "[halves\n")
    with pytest.raises(CourseError, match=r"misconceptions\.toml: .*line 1"):
        cat.extract(course, "ch0_lists")


def test_a_public_check_with_a_syntax_error_is_named(course):
    write(course.source / "ch0_lists/tests/halves.py", "assert (\n")
    with pytest.raises(CourseError, match=r"halves\.py, line 1: "):
        cat.extract(course, "ch0_lists")


def test_updating_adds_new_texts_retires_vanished_ones_and_keeps_translations(course):
    path = cat.catalogue_path(course, "ja", "ch0_lists")
    write(path, "# By hand.\n" + po_text({**JAPANESE, "Gone.": "なし。", "Never done.": ""}))
    assert cat.update_catalogue(course, "ch0_lists", "ja") == Counts(6, 7, 0)
    po = polib.pofile(str(path))
    live = {e.msgid: e.msgstr for e in po if not e.obsolete}
    assert live == {**JAPANESE, **dict.fromkeys(MISSING, "")}
    assert [(e.msgid, e.msgstr) for e in po.obsolete_entries()] == [("Gone.", "なし。")]
    assert po.header.strip() == "By hand."


def test_updating_twice_changes_nothing(course):
    path = cat.catalogue_path(course, "ja", "ch0_lists")
    cat.update_catalogue(course, "ch0_lists", "ja")
    text, written = path.read_bytes(), path.stat().st_mtime_ns
    cat.update_catalogue(course, "ch0_lists", "ja")
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (text, written)


def test_a_text_that_comes_back_gets_its_translation_back(course):
    path = cat.catalogue_path(course, "ja", "ch0_lists")
    write(path, po_text(JAPANESE) + '\n#~ msgid "Return a tuple."\n#~ msgstr "組を返します。"\n')
    cat.update_catalogue(course, "ch0_lists", "ja")
    assert (
        cat.load_catalogue(course, "ja", "ch0_lists").gettext("Return a tuple.") == "組を返します。"
    )


def test_a_new_catalogue_names_its_language_and_no_time(course):
    cat.update_catalogue(course, "ch0_lists", "fr")
    text = cat.catalogue_path(course, "fr", "ch0_lists").read_text()
    assert '"Language: fr\\n"' in text
    assert text.startswith("msgid")
    assert "Date" not in text
    assert str(course.root) not in text
