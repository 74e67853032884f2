"""Ingest: whatever was handed in, out comes a notebook of ours or a reason, and nothing raises."""

from __future__ import annotations

import ast
import builtins
import contextlib
import copy
import difflib
import errno
import hashlib
import json
import os
import re
import socket
import tokenize
import tracemalloc
from pathlib import Path
from typing import Any

import nbformat
import polib
import pytest
from babel.messages.extract import extract_from_file
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shardwork import ingest as module
from shardwork import notebookfile
from shardwork.course import Course
from shardwork.errors import CourseError
from shardwork.ingest import Ingested, code_digest, ingest, students_of
from shardwork.record import NoticeKind
from tests.tiny_course import NAME, RIGHT, STARTERS, answered, hand_in, make_tiny_course

pytestmark = pytest.mark.unit

ALICE = "alice"
CATALOGUE = "locale/ja/LC_MESSAGES/shardwork.po"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Course:
    """A course that no test adds a folder to."""
    return make_tiny_course(tmp_path_factory.mktemp("course"))


@pytest.fixture
def course(tmp_path: Path) -> Course:
    return make_tiny_course(tmp_path / "course")


def take(course: Course, what: Any) -> Ingested:
    """Hand something in as alice, and take it in."""
    hand_in(course, ALICE, json.dumps(what) if isinstance(what, (dict, list)) else what)
    return ingest(course, course.assignment(NAME), ALICE)


def notebook() -> dict[str, Any]:
    """Return a right submission, as the JSON that JupyterLab would save."""
    return json.loads(nbformat.writes(answered(RIGHT)))


def cell(submitted: dict[str, Any], name: str) -> dict[str, Any]:
    return next(c for c in submitted["cells"] if c["id"] == name)


def sources(taken: Ingested) -> dict[str, str]:
    """Return the code of the rebuilt notebook by cell, in order."""
    assert taken.notebook is not None
    return {c.id: c.source for c in taken.notebook.cells if c.cell_type == "code"}


def kinds(taken: Ingested) -> list[tuple[NoticeKind, str, bool]]:
    return [(notice.kind, notice.subject, notice.flagged) for notice in taken.notices]


# a right one ------------------------------------------------------------------------------------


def test_a_right_submission_becomes_the_release_with_its_solutions_in_it(course) -> None:
    path = hand_in(course, ALICE, answered(RIGHT))
    taken = ingest(course, course.assignment(NAME), ALICE)
    assert sources(taken) == {
        "setup": "import itertools",
        "ch0-example": "1 + 1",
        "total": RIGHT["total"],
        "test_total": 'grader.check("total")',
        "largest": RIGHT["largest"],
        "test_largest": 'grader.check("largest")',
    }
    assert (taken.reason, taken.notices, taken.undecided) == ("", (), ())
    assert (taken.student, taken.language) == (ALICE, "en")
    assert taken.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    nbformat.validate(taken.notebook)


def test_outputs_and_foreign_metadata_do_not_come_in(course) -> None:
    submitted = notebook()
    submitted["metadata"]["widgets"] = {"evil": True}
    cell(submitted, "total") | {"attachments": {}}
    cell(submitted, "total")["outputs"] = [
        {"output_type": "stream", "name": "stdout", "text": "secret"}
    ]
    cell(submitted, "total")["metadata"]["tags"] = ["remove"]
    taken = take(course, submitted)
    text = nbformat.writes(taken.notebook)
    assert "secret" not in text
    assert "evil" not in text
    assert "remove" not in text


def test_what_was_handed_in_is_left_as_it_was(course) -> None:
    path = hand_in(course, ALICE, answered(RIGHT))
    before = path.read_bytes()
    ingest(course, course.assignment(NAME), ALICE)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_byte_order_mark_does_no_harm(course) -> None:
    taken = take(course, b"\xef\xbb\xbf" + json.dumps(notebook()).encode())
    assert sources(taken)["total"] == RIGHT["total"]


def test_a_source_may_be_a_list_of_lines(course) -> None:
    submitted = notebook()
    cell(submitted, "total")["source"] = ["def total(numbers):\n", "    return sum(numbers)"]
    assert sources(take(course, submitted))["total"] == RIGHT["total"]


def test_text_that_utf_8_cannot_carry_is_replaced(course) -> None:
    submitted = notebook()
    cell(submitted, "total")["source"] = "x = '\ud800\0'"
    taken = take(course, submitted)
    assert sources(taken)["total"] == "x = '?\N{REPLACEMENT CHARACTER}'"
    nbformat.writes(taken.notebook).encode()


def test_what_python_writes_and_json_does_not_have_is_read(course) -> None:
    submitted = notebook()
    data = {"x": [float("nan"), float("inf"), -float("inf")], "s": "\ud83d cut, \U0001f600 whole"}
    cell(submitted, "total")["outputs"] = [{"output_type": "display_data", "data": data}]
    written = 'x = "NaN, -Infinity \\\\ud83d \U0001f600"\n' + RIGHT["total"]
    cell(submitted, "total")["source"] = written
    cell(submitted, "largest")["source"] = "# \ud83d"
    text = json.dumps(submitted)
    assert "NaN, Infinity, -Infinity" in text  # Python's own JSON
    assert sources(take(course, text))["total"] == written
    assert sources(take(course, text))["largest"] == "# ?"


def test_of_two_values_of_one_key_the_last_counts_as_in_python_and_in_jupyter(course) -> None:
    text = json.dumps(notebook()).replace('"id": "total"', '"source": "x", "id": "total"')
    twice = text.replace('"cell_type": "code"', '"cell_type": "raw", "cell_type": "code"')
    assert twice.count('"source": "x"') == 1
    expected = {c["id"]: "".join(c["source"]) for c in json.loads(twice)["cells"]}
    assert sources(take(course, twice))["total"] == expected["total"]


def test_the_language_is_the_releases_and_never_an_invented_one(course) -> None:
    submitted = notebook()
    for claimed in ("xx", "../ja", 5, None, ["en"]):
        submitted["metadata"]["shardwork"]["language"] = claimed
        assert take(course, submitted).language == "en"


def test_without_a_release_the_course_is_wrong_and_not_the_submission(tmp_path: Path) -> None:
    course = make_tiny_course(tmp_path, released=False)
    with pytest.raises(CourseError, match=f"shardwork release {NAME}"):
        take(course, notebook())


# no notebook at all -----------------------------------------------------------------------------


def deep(depth: int) -> str:
    return "[" * depth + "]" * depth


OLD = {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": []}]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b" \n\t\n", "the file is empty"),
        (b"def total(numbers): ...", "it is no JSON (invalid character (byte 0))"),
        (b'{"cells": [', "it is no JSON"),
        (b"\x89PNG\r\n\x1a\n\0\0", "it is not UTF-8"),
        (json.dumps(notebook()).encode("utf-16"), "it is not UTF-8"),
        (b"PK\x03\x04 a zip file", "it is no JSON"),
        (b"[]", "JSON without a list of cells"),
        (b"3", "JSON without a list of cells"),
        (b'{"cells": {}}', "JSON without a list of cells"),
        (json.dumps(OLD).encode(), "JSON without a list of cells"),
        (b'{"cells": [], "nbformat": 3}', "format 3; only format 4"),
        (b'{"cells": [], "nbformat": 5}', "format 5; only format 4"),
        (b'{"cells": [], "nbformat": "4"}', 'format "4"; only format 4'),
        (b'{"cells": [], "nbformat": true}', "format true; only format 4"),
        (b'{"cells": []}', "format –; only format 4"),
        (b'{"cells": [], "nbformat": 1' + b"0" * 5000 + b"}", "format 1000"),
        (b'{"cells": [], "nbformat": 1e999999}', "format 1e999999; only format 4"),
        (b'{"cells": [], "nbformat": 4' + b" " * 99, "it is no JSON"),
        (deep(100_000).encode(), "JSON without a list of cells"),
        (f'{{"cells": {deep(100_000)}}}'.encode(), "JSON without a list of cells"),
        (f'{{"cells": [], "x": {deep(100_000)}}}'.encode(), "it is no JSON"),
        (b'{"cells": [], "nbformat": 4}', "another notebook: none of its cells"),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, (bytes, str)) else None,
)
def test_a_file_that_is_no_notebook_is_refused_with_a_reason(course, content, reason) -> None:
    taken = take(course, content)
    assert taken.notebook is None
    assert reason in taken.reason
    assert taken.reason.startswith(f"{NAME}/{ALICE}: ")
    assert taken.notices == ()


@pytest.mark.parametrize("depth", [*range(20, 1000, 70), *range(880, 1000, 3)])
def test_nesting_near_the_depth_that_python_bears_never_raises(shared, depth: int) -> None:
    """A parser that gets through may leave a value on which repr() or == does not."""
    submitted = json.dumps(notebook())
    value = deep(depth)
    for text in (
        f'{{"cells": [], "nbformat": {value}}}',
        submitted.replace('"nbformat": 4', f'"nbformat": {value}'),
        submitted.replace('"points": 4', f'"points": {value}'),
        submitted.replace('"grade_id": "total"', f'"grade_id": {value}'),
    ):
        ingest_text(shared, text)


def ingest_text(course: Course, text: str) -> Ingested:
    hand_in(course, ALICE, text)
    return ingest(course, course.assignment(NAME), ALICE)


def test_a_reason_shows_no_control_characters_of_the_file(course) -> None:
    taken = take(course, b'{"nbformat": "\\u001b[31m4", "cells": []}')
    assert "\x1b" not in taken.reason


def test_a_file_above_the_bound_is_refused_and_says_how_to_shrink_it(course, monkeypatch) -> None:
    monkeypatch.setattr(notebookfile, "MAX_FILE_BYTES", 1 << 20)
    submitted = notebook()
    cell(submitted, "total")["outputs"] = [{"output_type": "stream", "text": "x" * (1 << 20)}]
    taken = take(course, submitted)
    assert "larger than 1 MB. Clear the outputs" in taken.reason
    assert taken.notebook is None


def test_a_file_at_the_bound_is_read(course, monkeypatch) -> None:
    data = json.dumps(notebook()).encode()
    monkeypatch.setattr(notebookfile, "MAX_FILE_BYTES", len(data))
    assert take(course, data).notebook is not None
    assert take(course, data + b" ").notebook is None


def test_too_many_cells_are_refused(course, monkeypatch) -> None:
    monkeypatch.setattr(notebookfile, "MAX_CELLS", 7)
    submitted = notebook()
    assert take(course, submitted).notebook is not None  # the release has seven
    submitted["cells"].append({"cell_type": "markdown", "metadata": {}, "source": "", "id": "more"})
    assert "8 cells; at most 7" in take(course, submitted).reason


def test_a_cell_that_is_too_long_is_refused(course, monkeypatch) -> None:
    monkeypatch.setattr(notebookfile, "MAX_SOURCE_CHARS", 1000)
    submitted = notebook()
    cell(submitted, "total")["source"] = "#" * 1001
    assert "a cell holds 1001 characters; at most 1000" in take(course, submitted).reason


def test_the_file_of_another_assignment_is_refused_by_its_name(course) -> None:
    submitted = notebook()
    submitted["metadata"]["shardwork"]["assignment"] = "ch9_other"
    assert "this is the notebook of ch9_other, not of ch0_numbers" in take(course, submitted).reason


def test_a_notebook_with_none_of_our_cells_is_refused_although_it_has_a_setup(course) -> None:
    submitted = notebook()
    del submitted["metadata"]["shardwork"]
    for number, one in enumerate(submitted["cells"]):
        one["metadata"] = {}
        one["id"] = "setup" if number == 0 else f"cell-{number}"
    assert "none of its cells is one of ch0_numbers" in take(course, submitted).reason


def in_outputs(unit: str) -> str:
    return f'{{"nbformat": 4, "metadata": {{}}, "cells": [{{"outputs": [{unit * 29_999}0]}}]}}'


def in_cells(unit: str) -> str:
    return f'{{"nbformat": 4, "metadata": {{}}, "cells": [{unit * 29_999}{{}}]}}'


def in_metadata(unit: str) -> str:
    items = ",".join(f'"{n:x}":{unit}' for n in range(29_999))
    return f'{{"nbformat": 4, "cells": [], "metadata": {{{items}}}}}'


def in_source(unit: str) -> str:
    return f'{{"nbformat": 4, "cells": [{{"id": "total", "source": [{unit * 29_999}0]}}]}}'


@pytest.mark.parametrize("place", [in_outputs, in_cells, in_metadata, in_source])
@pytest.mark.parametrize("unit", ["{},", '{"":[]},', "[[[]]],", '"ab",', "NaN,", '"\\ud800",'])
def test_a_bomb_costs_a_small_multiple_of_its_size(place, unit: str) -> None:
    """`json.loads` costs up to 40 bytes for each byte of these, and ours 20, for empty cells."""
    data = place(unit.rstrip(",") if place is in_metadata else unit).encode()
    tracemalloc.start()
    try:
        with contextlib.suppress(notebookfile.Refused):
            notebookfile.decode_notebook(data)
        assert tracemalloc.get_traced_memory()[1] < 28 * len(data)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "source",
    [
        "x = " + "(" * 10_000 + ")" * 10_000,
        "x = " + "+".join("1" * 90_000),
        "x = '" + "a" * 190_000 + "'",
        "x = " + "9" * 190_000,
        "def f(:\n" + "\t \t" * 9_000,
    ],
)
def test_no_source_is_parsed_outside_the_sandbox(
    shared: Course, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("a student's source was parsed")

    submitted = notebook()
    cell(submitted, "total")["source"] = source
    hand_in(shared, ALICE, json.dumps(submitted))
    for where, name in ((builtins, "compile"), (ast, "parse"), (tokenize, "generate_tokens")):
        monkeypatch.setattr(where, name, never)
    assert sources(ingest(shared, shared.assignment(NAME), ALICE))["total"] == source


def test_a_missing_name_is_compared_with_few_of_those_there_are(
    course, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[int] = []

    def counted(word: str, possibilities: Any, n: int) -> list[str]:
        compared.append(len(list(possibilities)))
        return []

    monkeypatch.setattr(difflib, "get_close_matches", counted)
    submitted = notebook()
    submitted["cells"].remove(cell(submitted, "total"))
    submitted["cells"] += [helper(f"{n:x}" * 20, "a = 1") for n in range(1_900)]
    take(course, submitted)
    assert compared == [module.MAX_SIMILAR]


# what lies under the file's name ----------------------------------------------------------------


@pytest.fixture
def folder(course: Course) -> Path:
    path = course.submitted / ALICE / NAME
    path.mkdir(parents=True)
    return path


def refused(course: Course) -> str:
    taken = ingest(course, course.assignment(NAME), ALICE)
    assert taken.notebook is None
    assert len(taken.digest) == 64
    return taken.reason


def test_an_empty_folder_says_what_is_missing(course, folder) -> None:
    assert refused(course) == (
        "ch0_numbers/alice: there is no ch0_numbers.ipynb; the folder is empty."
    )


def test_a_notebook_of_another_name_is_found_and_named(course, folder) -> None:
    (folder / "Untitled\x1b[31m (2).ipynb").write_text("{}")
    assert "found: Untitled (2).ipynb." in refused(course)


def test_a_folder_that_went_away_is_no_crash(course) -> None:
    assert "the folder is empty" in refused(course)


def test_a_link_is_not_followed(course, folder, tmp_path: Path) -> None:
    secret = tmp_path / "another.ipynb"
    secret.write_text(nbformat.writes(answered(RIGHT)))
    (folder / f"{NAME}.ipynb").symlink_to(secret)
    assert "is a link or a special file" in refused(course)


def test_a_folder_that_is_a_link_is_not_followed(course, tmp_path: Path) -> None:
    elsewhere = hand_in(course, "bob", answered(RIGHT)).parent
    (course.submitted / ALICE).mkdir()
    (course.submitted / ALICE / NAME).symlink_to(elsewhere)
    assert "the folder of the submission is a link" in refused(course)


def test_a_student_whose_folder_is_a_link_is_not_followed(course) -> None:
    hand_in(course, "bob", answered(RIGHT))
    (course.submitted / ALICE).symlink_to("bob")
    assert "the folder of the submission is a link" in refused(course)


def test_a_hard_link_to_somebody_elses_file_is_refused_and_a_copy_is_not(course, folder) -> None:
    theirs = hand_in(course, "bob", answered(RIGHT))
    mine = folder / f"{NAME}.ipynb"
    mine.hardlink_to(theirs)
    assert "is a hard link" in refused(course)
    mine.unlink()
    mine.write_bytes(theirs.read_bytes())
    assert ingest(course, course.assignment(NAME), ALICE).notebook is not None


def test_a_pipe_does_not_make_us_wait(course, folder) -> None:
    os.mkfifo(folder / f"{NAME}.ipynb")
    assert "is no plain file" in refused(course)


def test_a_socket_is_refused(course, folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)  # the path of a socket may not be long
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{NAME}.ipynb")
        assert "is a link or a special file" in refused(course)


def test_a_folder_in_the_place_of_the_file_is_refused(course, folder) -> None:
    (folder / f"{NAME}.ipynb").mkdir()
    assert "is no plain file" in refused(course)


def test_a_file_that_may_not_be_read_says_so(course, folder, monkeypatch) -> None:
    real = os.open

    def forbidden(path: str, flags: int, dir_fd: int | None = None) -> int:
        if path.endswith(".ipynb"):  # root may read every file
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path, flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", forbidden)
    assert "could not be read: Permission denied" in refused(course)


def test_students_are_those_with_a_folder_for_the_assignment(course) -> None:
    assignment = course.assignment(NAME)
    assert students_of(course, assignment) == []
    for student in ("bob", ALICE):
        hand_in(course, student, "")
    (course.submitted / "carol" / "other").mkdir(parents=True)
    (course.submitted / ".cache" / NAME).mkdir(parents=True)
    (course.submitted / "dora").symlink_to(course.submitted / "bob")
    (course.submitted / "notes.txt").touch()
    assert students_of(course, assignment) == [ALICE, "bob"]


def test_a_student_whose_folder_may_not_be_looked_into_is_listed_and_refused(
    course, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_in(course, ALICE, "")
    hand_in(course, "bob", "")
    real_stat, real_open = os.stat, os.open

    def stat_as_another(path: Any, **options: Any) -> os.stat_result:  # root may look everywhere
        if ALICE in str(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real_stat(path, **options)

    def open_as_another(path: str, flags: int, dir_fd: int | None = None) -> int:
        if path == ALICE:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real_open(path, flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "stat", stat_as_another)
    monkeypatch.setattr(os, "open", open_as_another)
    assert students_of(course, course.assignment(NAME)) == [ALICE, "bob"]
    assert "could not be read: Permission denied" in refused(course)


def test_a_folder_with_very_many_files_is_not_listed_to_the_end(
    course, folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebookfile, "MAX_LISTED_FILES", 3)
    for n in range(9):
        (folder / f"\x1b[2J{n}").touch()
    assert refused(course).count("[2J") == 0
    assert refused(course).count(",") == 3  # of three names, and of the sentence behind


def test_a_folder_name_that_no_student_can_have_is_listed_and_does_not_raise(course) -> None:
    hand_in(course, "a[b]", "")
    assert students_of(course, course.assignment(NAME)) == ["a[b]"]


# cells ------------------------------------------------------------------------------------------


def test_a_missing_solution_cell_is_noticed_and_the_others_are_kept(course) -> None:
    submitted = notebook()
    submitted["cells"].remove(cell(submitted, "total"))
    taken = take(course, submitted)
    assert kinds(taken) == [(NoticeKind.CELL_MISSING, "total", True)]
    assert taken.notices[0].text == (
        "There is no cell `total`. The cell was deleted, or its name was changed."
    )
    assert sources(taken)["total"] == ""
    assert sources(taken)["largest"] == RIGHT["largest"]


def test_a_renamed_cell_is_named_and_its_code_still_runs(course) -> None:
    submitted = notebook()
    renamed = cell(submitted, "total")
    renamed["id"] = renamed["metadata"]["nbgrader"]["grade_id"] = "Total"
    taken = take(course, submitted)
    assert "found `Total`" in taken.notices[0].text
    assert kinds(taken) == [(NoticeKind.CELL_MISSING, "total", True)]
    assert sources(taken)["added-1"] == RIGHT["total"]


def test_a_cell_whose_grade_id_alone_was_changed_is_known_by_its_id(course) -> None:
    submitted = notebook()
    cell(submitted, "total")["metadata"]["nbgrader"]["grade_id"] = "Total"
    taken = take(course, submitted)
    assert sources(taken)["total"] == RIGHT["total"]
    assert kinds(taken) == [(NoticeKind.METADATA_EDITED, "total", False)]


def test_a_cell_whose_metadata_was_stripped_is_known_by_its_id(course) -> None:
    submitted = notebook()
    for one in submitted["cells"]:
        one["metadata"] = {}
    taken = take(course, submitted)
    assert sources(taken) == sources(take(course, notebook()))
    assert taken.notices == ()


def test_a_cell_whose_id_was_made_anew_is_known_by_its_grade_id(course) -> None:
    submitted = notebook()
    for number, one in enumerate(submitted["cells"]):
        one["id"] = f"fresh-{number}"
    taken = take(course, submitted)
    assert sources(taken)["total"] == RIGHT["total"]
    assert [kind for kind, _, _ in kinds(taken)] == []


def add_copy(submitted: dict[str, Any], source: str) -> None:
    """Copy the cell `total` as JupyterLab does: a new id, the same metadata."""
    extra = copy.deepcopy(cell(submitted, "total"))
    extra |= {"id": "copy", "source": source}
    submitted["cells"].append(extra)


def test_a_cell_that_stands_twice_with_the_same_code_counts_once(course) -> None:
    submitted = notebook()
    add_copy(submitted, RIGHT["total"])
    taken = take(course, submitted)
    assert sources(taken)["total"] == RIGHT["total"]
    assert (taken.notices, taken.undecided) == ((), ())


def test_a_copy_that_is_still_the_starter_does_not_count(course) -> None:
    submitted = notebook()
    add_copy(submitted, STARTERS["total"] + "\n")
    taken = take(course, submitted)
    assert sources(taken)["total"] == RIGHT["total"]
    assert (taken.notices, taken.undecided) == ((), ())


def test_copies_that_are_all_the_starter_are_an_unanswered_exercise_and_not_a_missing_cell(
    course,
) -> None:
    submitted = notebook()
    cell(submitted, "total")["source"] = STARTERS["total"]
    add_copy(submitted, STARTERS["total"] + "\n")
    taken = take(course, submitted)
    assert sources(taken)["total"] == STARTERS["total"]
    assert taken.notices == ()


def test_two_different_answers_are_left_to_a_person(course) -> None:
    submitted = notebook()
    add_copy(submitted, "def total(numbers):\n    return 0")
    taken = take(course, submitted)
    assert taken.undecided == ("total",)
    assert kinds(taken) == [(NoticeKind.CELL_DUPLICATED, "total", True)]
    assert "2 different cells `total`" in taken.notices[0].text


def test_a_solution_that_was_made_text_is_missing(course) -> None:
    submitted = notebook()
    cell(submitted, "total")["cell_type"] = "markdown"
    assert kinds(take(course, submitted))[0] == (NoticeKind.CELL_MISSING, "total", True)


@pytest.mark.parametrize("name", ["setup", "ch0-example", "test_total"])
def test_a_provided_cell_that_was_edited_runs_as_released_and_is_noticed(course, name) -> None:
    submitted = notebook()
    cell(submitted, name)["source"] = "import os; os.abort()"
    taken = take(course, submitted)
    assert sources(taken) == sources(take(course, notebook()))
    assert kinds(taken) == [(NoticeKind.CELL_RESTORED, name, False)]


def test_a_provided_cell_that_was_deleted_runs_as_released(course) -> None:
    submitted = notebook()
    submitted["cells"].remove(cell(submitted, "setup"))
    assert sources(take(course, submitted))["setup"] == "import itertools"


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("test_total", "points", 400),
        ("test_total", "points", None),
        ("test_total", "grade", False),
        ("test_total", "locked", False),
        ("total", "solution", False),
        ("total", "task", True),
        ("total", "schema_version", 99),
        ("total", "cell_type", {"a": [1]}),
    ],
)
def test_changed_grading_data_has_no_effect_and_is_noticed(course, name, key, value) -> None:
    submitted = notebook()
    cell(submitted, name)["metadata"]["nbgrader"][key] = value
    taken = take(course, submitted)
    assert kinds(taken) == [(NoticeKind.METADATA_EDITED, name, False)]
    assert key in taken.notices[0].text
    assert taken.notebook == take(course, notebook()).notebook


def test_changes_in_many_copies_of_a_cell_are_one_notice(course) -> None:
    submitted = notebook()
    for n in range(50):
        extra = copy.deepcopy(cell(submitted, "test_total"))
        extra["metadata"]["nbgrader"] |= {"points": n + 9, "grade": n % 2 == 0}
        submitted["cells"].append(extra)
    taken = take(course, submitted)
    assert kinds(taken) == [(NoticeKind.METADATA_EDITED, "test_total", False)]
    assert "(points, grade)" in taken.notices[0].text


def test_points_written_as_another_kind_of_number_are_the_same_points(course) -> None:
    submitted = notebook()
    cell(submitted, "test_total")["metadata"]["nbgrader"]["points"] = 4.0
    assert take(course, submitted).notices == ()


# cells that the student added -------------------------------------------------------------------


def helper(name: str, source: str, kind: str = "code") -> dict[str, Any]:
    return {"cell_type": kind, "id": name, "metadata": {}, "source": source, "outputs": []}


def test_added_cells_are_kept_behind_the_cell_they_stood_behind(course) -> None:
    submitted = notebook()
    ids = [c["id"] for c in submitted["cells"]]
    for place, source in (("largest", "c = 3"), ("total", "b = 2"), ("ch0-lesson", "a = 1")):
        submitted["cells"].insert(ids.index(place) + 1, helper(f"mine-{place}", source))
    order = list(sources(take(course, submitted)).items())
    names = [name for name, _ in order]
    assert names == [
        "setup", "added-1", "ch0-example", "total", "added-2", "test_total", "largest", "added-3",
        "test_largest",
    ]  # fmt: skip
    assert [dict(order)[f"added-{n}"] for n in (1, 2, 3)] == ["a = 1", "b = 2", "c = 3"]


def test_a_lesson_that_was_made_a_code_cell_runs_and_one_that_only_changed_its_kind_does_not(
    course,
) -> None:
    submitted = notebook()
    cell(submitted, "ch0-lesson")["cell_type"] = "code"
    assert sources(take(course, submitted)) == sources(take(course, notebook()))
    cell(submitted, "ch0-lesson")["source"] = "helper = 1"
    assert sources(take(course, submitted))["added-1"] == "helper = 1"


def test_several_added_cells_at_one_place_keep_their_order(course) -> None:
    submitted = notebook()
    submitted["cells"] += [helper("x", "a = 1"), helper("y", "b = a"), helper("z", "c = b")]
    assert list(sources(take(course, submitted)).values())[-3:] == ["a = 1", "b = a", "c = b"]


def test_cells_added_above_everything_run_behind_the_set_up(course) -> None:
    submitted = notebook()
    submitted["cells"].insert(0, helper("mine", "a = 1"))
    assert list(sources(take(course, submitted)))[:2] == ["setup", "added-1"]


def test_added_text_and_empty_cells_are_left_out(course) -> None:
    submitted = notebook()
    submitted["cells"] += [
        helper("x", "  \n"),
        helper("y", "words", "markdown"),
        helper("z", "r", "raw"),
    ]
    assert sources(take(course, submitted)) == sources(take(course, notebook()))


def test_added_cells_beyond_the_bound_are_left_out(course, monkeypatch) -> None:
    monkeypatch.setattr(module, "MAX_ADDED_CELLS", 2)
    submitted = notebook()
    submitted["cells"] += [helper(f"x{n}", f"a = {n}") for n in range(5)]
    assert [name for name in sources(take(course, submitted)) if name.startswith("added")] == [
        "added-1",
        "added-2",
    ]


def test_a_cell_may_not_be_added_under_the_id_of_an_added_one(course) -> None:
    submitted = notebook()
    submitted["cells"] += [helper("added-2", "a = 1"), helper("added-1", "a = 2")]
    ids = list(sources(take(course, submitted)))
    assert len(ids) == len(set(ids))


# the digest of the code -------------------------------------------------------------------------


def test_the_digest_of_the_code_changes_with_the_code_and_with_nothing_else(course) -> None:
    def digest(submitted: dict[str, Any]) -> str:
        taken = take(course, submitted)
        assert taken.notebook is not None
        return code_digest(taken.notebook)

    right, noisy, changed = notebook(), notebook(), notebook()
    cell(noisy, "total")["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "hi"}]
    cell(noisy, "ch0-lesson")["source"] = "My notes"
    cell(changed, "total")["source"] += "\n"
    assert digest(right) == digest(noisy)
    assert digest(right) != digest(changed)


# anything at all --------------------------------------------------------------------------------

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12),
    st.sampled_from(["total", "test_total", "setup", "code", "markdown", "ch0_numbers", "en"]),
)  # fmt: skip
names = st.sampled_from(
    ["cells", "nbformat", "metadata", "nbgrader", "grade_id", "id", "source", "cell_type", "points",
     "shardwork", "assignment", "language", "outputs", "grade"]
)  # fmt: skip
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(names | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=25,
)
grading = st.dictionaries(names, anything, max_size=5)
cell_like = st.fixed_dictionaries(
    {},
    optional={
        "cell_type": st.sampled_from(["code", "markdown"]) | anything,
        "id": st.sampled_from(["total", "largest", "setup", "test_total"]) | anything,
        "source": st.text(max_size=30) | st.lists(st.text(max_size=9), max_size=3) | anything,
        "metadata": st.fixed_dictionaries({}, optional={"nbgrader": grading | anything}) | anything,
    },
)
notebook_like = st.fixed_dictionaries(
    {"nbformat": st.just(4) | anything, "cells": st.lists(cell_like | anything, max_size=6)},
    optional={
        "metadata": st.fixed_dictionaries({}, optional={"shardwork": grading | anything}) | anything
    },
)


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.one_of(notebook_like, anything))
@example({"nbformat": 4, "cells": [{"id": "total", "source": ["\ud800", 1, None]}]})
@example({"nbformat": 4, "cells": [{"id": "total", "cell_type": "code", "metadata": []}]})
def test_arbitrary_json_never_raises_and_never_makes_a_notebook_that_is_not_ours(
    shared: Course, what: Any
) -> None:
    taken = ingest_text(shared, json.dumps(what))
    if taken.notebook is None:
        assert taken.reason
        return
    nbformat.validate(taken.notebook)
    ours = answered(STARTERS)
    kept = [c for c in taken.notebook.cells if not c.id.startswith("added-")]
    assert [c.id for c in kept] == [c.id for c in ours.cells]
    assert [c.metadata for c in kept] == [c.metadata for c in ours.cells]
    changed = [c.id for c, o in zip(kept, ours.cells, strict=True) if c.source != o.source]
    assert set(changed) <= {"total", "largest"}


@settings(deadline=None, max_examples=150)
@given(notebook_like)
def test_cells_are_read_as_python_reads_them(what: dict[str, Any]) -> None:
    """The other reader is `json.loads`, which builds everything."""
    try:
        taken = notebookfile.decode_notebook(json.dumps(what).encode())
    except notebookfile.Refused:
        return
    plain = json.loads(json.dumps(what))
    assert len(taken.cells) == len(plain["cells"])
    for ours, theirs in zip(taken.cells, plain["cells"], strict=True):
        source = theirs.get("source")
        lines = source if isinstance(source, list) else [source]
        texts = all(isinstance(line, str) for line in lines)
        expected = "".join(lines).replace("\0", "\ufffd") if texts else ""
        assert ours.source == expected.encode("utf-8", "replace").decode()
        if theirs.get("id") in ("total", "largest", "setup", "test_total"):
            assert ours.id == theirs["id"]


VALID = json.dumps(notebook())
cuts = st.lists(
    st.tuples(
        st.sampled_from(["drop", "copy", "swap", "put"]), st.integers(0, len(VALID)),
        st.integers(0, 400),
        st.sampled_from([
            '"', "{", "}", "[", "]", ",", ":", "\\", "\\u", "\\ud800", "NaN", "-Infinity", "1e999",
            "9" * 500, "null", "\0", "\ufeff", '"cells":', '"id": "total"', "[" * 2_000, "\ud800",
        ]),
    ),
    min_size=1, max_size=5,
)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(cuts)
def test_a_mutated_notebook_never_raises(
    shared: Course, changes: list[tuple[str, int, int, str]]
) -> None:
    text = VALID
    for kind, at, length, piece in changes:
        inside = {"drop": "", "copy": text[at : at + length] * 2, "swap": piece, "put": piece}[kind]
        text = text[:at] + inside + text[at if kind == "put" else at + length :]
    hand_in(shared, ALICE, text.encode("utf-8", "surrogatepass"))
    taken = ingest(shared, shared.assignment(NAME), ALICE)
    assert taken.reason or taken.notebook is not None
    taken.reason.encode()


# what a student reads of it ---------------------------------------------------------------------


def test_a_refusal_is_a_sentence_with_placeholders_and_the_next_step_is_the_assistants(
    course, folder
) -> None:
    (folder / "Untitled.ipynb").touch()
    taken = ingest(course, course.assignment(NAME), ALICE)
    assert taken.sentence == "There is no {name}; found: {found}."
    assert taken.values == {"name": f"{NAME}.ipynb", "found": "Untitled.ipynb"}
    assert taken.reason == (
        f"{NAME}/{ALICE}: there is no {NAME}.ipynb; found: Untitled.ipynb. If the notebook has "
        "another name, rename it and grade again."
    )


def test_every_refusal_is_in_japanese_with_the_same_placeholders() -> None:
    root = Path(__file__).resolve().parents[2]
    catalogue = {e.msgid: e.msgstr for e in polib.pofile(str(root / CATALOGUE)) if not e.fuzzy}
    found = [
        message[1]
        for name in ("ingest.py", "notebookfile.py")
        for message in extract_from_file("python", root / "shardwork" / name, {"Refused": (1,)})
    ]
    assert len(found) > 10
    for sentence in found:
        translated = catalogue.get(sentence, "")
        assert sorted(re.findall(r"\{\w+\}", translated)) == sorted(
            re.findall(r"\{\w+\}", sentence)
        )
        assert translated, sentence


@settings(deadline=None, max_examples=80)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_and_never_raise(shared: Course, data: bytes) -> None:
    hand_in(shared, ALICE, data)
    assert ingest(shared, shared.assignment(NAME), ALICE).notebook is None
