"""Ingest: whatever was handed in, out comes a notebook of ours or a reason, and nothing raises."""

from __future__ import annotations

import copy
import errno
import hashlib
import json
import os
import socket
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shardwork import ingest as module
from shardwork.course import Course
from shardwork.errors import CourseError
from shardwork.ingest import Ingested, code_digest, ingest, students_of
from shardwork.record import NoticeKind
from tests.tiny_course import NAME, RIGHT, STARTERS, answered, hand_in, make_tiny_course

pytestmark = pytest.mark.unit

ALICE = "alice"


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
        (b"def total(numbers): ...", "it is no JSON (Expecting value: line 1"),
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
        (b'{"cells": [], "nbformat": "4"}', "format '4'; only format 4"),
        (b'{"cells": []}', "format no number; only format 4"),
        (b'{"cells": [], "nbformat": 1' + b"0" * 5000 + b"}", "it is no JSON"),
        (deep(100_000).encode(), "it is no JSON"),
        (f'{{"cells": {deep(100_000)}}}'.encode(), "it is no JSON"),
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
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 1 << 20)
    submitted = notebook()
    cell(submitted, "total")["outputs"] = [{"output_type": "stream", "text": "x" * (1 << 20)}]
    taken = take(course, submitted)
    assert "larger than 1 MB. Clear the outputs" in taken.reason
    assert taken.notebook is None


def test_a_file_at_the_bound_is_read(course, monkeypatch) -> None:
    data = json.dumps(notebook()).encode()
    monkeypatch.setattr(module, "MAX_FILE_BYTES", len(data))
    assert take(course, data).notebook is not None
    assert take(course, data + b" ").notebook is None


def test_too_many_cells_are_refused(course, monkeypatch) -> None:
    monkeypatch.setattr(module, "MAX_CELLS", 7)
    submitted = notebook()
    assert take(course, submitted).notebook is not None  # the release has seven
    submitted["cells"].append({"cell_type": "markdown", "metadata": {}, "source": "", "id": "more"})
    assert "8 cells; at most 7" in take(course, submitted).reason


def test_a_cell_that_is_too_long_is_refused(course, monkeypatch) -> None:
    monkeypatch.setattr(module, "MAX_SOURCE_CHARS", 1000)
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
        "ch0_numbers/alice: there is no ch0_numbers.ipynb; found: nothing. If the notebook has "
        "another name, rename it and grade again."
    )


def test_a_notebook_of_another_name_is_found_and_named(course, folder) -> None:
    (folder / "Untitled\x1b[31m (2).ipynb").write_text("{}")
    assert "found: Untitled (2).ipynb." in refused(course)


def test_a_folder_that_went_away_is_no_crash(course) -> None:
    assert "found: nothing" in refused(course)


def test_a_link_is_not_followed(course, folder, tmp_path: Path) -> None:
    secret = tmp_path / "another.ipynb"
    secret.write_text(nbformat.writes(answered(RIGHT)))
    (folder / f"{NAME}.ipynb").symlink_to(secret)
    assert "is a link or a special file" in refused(course)


def test_a_folder_that_is_a_link_is_not_followed(course, tmp_path: Path) -> None:
    elsewhere = hand_in(course, "bob", answered(RIGHT)).parent
    (course.submitted / ALICE).mkdir()
    (course.submitted / ALICE / NAME).symlink_to(elsewhere)
    assert "its folder is a link" in refused(course)


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
    def forbidden(path: object, flags: int) -> int:  # root may read every file
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

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


@settings(deadline=None, max_examples=80)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_and_never_raise(shared: Course, data: bytes) -> None:
    hand_in(shared, ALICE, data)
    assert ingest(shared, shared.assignment(NAME), ALICE).notebook is None
