"""The gradebook writer and nbgrader itself, over a real course folder and made-up records."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
import multiprocessing
import os
import pkgutil
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from shardwork.course import Course, load_course
from shardwork.errors import ShardworkError
from shardwork.feedback import page_on_file
from shardwork.gradebook import write_gradebook
from shardwork.gradebookfile import lock
from shardwork.handgrading import read_hand_grading
from shardwork.record import Record, Verdict
from shardwork.recordfile import write_record
from tests import factories
from tests.factories import ASSIGNMENT

pytestmark = [
    pytest.mark.functional,
    # nbgrader 0.9.6 and the libraries under it; none of it is ours to mend
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning"),
]

REPOSITORY = Path(__file__).resolve().parents[2]

CONFIG_WITH_RECORDS_ONLY = """\
import sys, types

from shardwork.nbgrader_bridge import configure
from shardwork.recordfile import read_record, record_path

engine = types.ModuleType("shardwork.batch")
engine.grade_one = lambda course, assignment, student: read_record(
    record_path(course, assignment, student)
)
sys.modules["shardwork.batch"] = engine  # this course has no sandbox: what is on record is current
configure(get_config(), __file__)
"""

RIGHT_POINTS = {
    # Counted by hand from tests/factories.py: key_stats of 5 and top_words of 3.
    "s01_right": 8.0, "s02_other_way": 8.0, "s03_starter": 0.0, "s04_group": 5.5,
    "s05_group": 5.5, "s06_means": 3.0, "s07_noisy": 8.0, "s08_raises": 3.0,
    "s09_endless": 3.0, "s10_kills": 3.0, "s11_no_notebook": 0.0, "s12_ours": 5.5,
}  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Course:
    """A course whose twelve submissions are in the gradebook; copied by those who change it."""
    root = tmp_path_factory.mktemp("written") / "course"
    root.mkdir()
    course = factories.write_course(root)
    _release(course)
    (root / "nbgrader_config.py").write_text(CONFIG_WITH_RECORDS_ONLY, encoding="utf-8")
    for record in factories.a_class():
        write_record(course, record)
        _hand_in(course, record.student)
    result = write_gradebook(course, ASSIGNMENT, factories.a_class())
    assert result.failed == {}
    assert len(result.redone) == 12
    return course


@pytest.fixture
def course(written: Course, tmp_path: Path) -> Course:
    """A copy of the written course of one's own."""
    shutil.copytree(written.root, tmp_path / "course")
    return load_course(tmp_path / "course")


def test_the_gradebook_has_the_points_of_the_records(written: Course) -> None:
    assert _points(written) == RIGHT_POINTS


def test_every_submission_has_an_autograded_notebook_and_a_refused_one_too(written: Course) -> None:
    for student in RIGHT_POINTS:
        assert (written.autograded / student / ASSIGNMENT / f"{ASSIGNMENT}.ipynb").is_file()


def test_an_error_of_ours_asks_for_manual_grading_and_nothing_else_does(written: Course) -> None:
    flagged = {
        (student, cell)
        for student, cells in _grades(written).items()
        for cell, grade in cells.items()
        if grade["needs_manual_grade"]
    }
    assert flagged == {("s12_ours", "test_key_stats")}
    assert _grades(written)["s12_ours"]["test_key_stats"]["auto_score"] == 2.5


def test_an_exercise_that_an_incomplete_record_lacks_is_unknown_and_not_zero(
    course: Course,
) -> None:
    record = factories.record(
        "s01_right",
        status="incomplete",
        exercises=(factories.exercise(),),
        reason="The disk failed.",
    )
    write_gradebook(course, ASSIGNMENT, [record])
    grade = _grades(course)["s01_right"]["test_top_words"]
    assert grade["auto_score"] is None
    assert grade["needs_manual_grade"]
    assert write_gradebook(course, ASSIGNMENT, [record]).unchanged == ("s01_right",)


def test_writing_the_same_records_again_changes_nothing(written: Course) -> None:
    before = _files(written.autograded)
    result = write_gradebook(written, ASSIGNMENT, factories.a_class())
    assert result.redone == ()
    assert len(result.unchanged) == 12
    assert _files(written.autograded) == before


def test_only_the_record_that_changed_is_written_again(course: Course) -> None:
    records = factories.a_class()
    records[0] = factories.record("s01_right", exercises=(factories.exercise(points=1.0),))
    result = write_gradebook(course, ASSIGNMENT, records)
    assert result.redone == ("s01_right",)
    assert _grades(course)["s01_right"]["test_key_stats"]["auto_score"] == 1.0


def test_points_that_something_else_put_into_the_gradebook_are_put_right(course: Course) -> None:
    with _gradebook(course) as gradebook:
        grade = gradebook.find_grade("test_key_stats", ASSIGNMENT, ASSIGNMENT, "s03_starter")
        grade.auto_score = 5.0
        gradebook.db.commit()
    assert write_gradebook(course, ASSIGNMENT, factories.a_class()).redone == ("s03_starter",)
    assert _points(course) == RIGHT_POINTS


def test_a_lost_gradebook_is_made_again_from_the_records(course: Course) -> None:
    course.gradebook.unlink()
    write_gradebook(course, ASSIGNMENT, factories.a_class()[:2])
    assert _points(course) == {"s01_right": 8.0, "s02_other_way": 8.0}


def test_what_a_person_entered_in_formgrader_stays_and_is_read_back(course: Course) -> None:
    with _gradebook(course) as gradebook:
        where = (ASSIGNMENT, ASSIGNMENT, "s12_ours")
        grade = gradebook.find_grade("test_key_stats", *where)
        grade.manual_score, grade.needs_manual_grade = 4.0, False
        gradebook.find_comment("key_stats", *where).manual_comment = "Looked at by hand."
        gradebook.db.commit()
    write_gradebook(course, ASSIGNMENT, factories.a_class())
    assert _points(course)["s12_ours"] == 7.0
    by_hand = read_hand_grading(course, ASSIGNMENT)
    assert set(by_hand) == {"s12_ours"}
    assert by_hand["s12_ours"].points == {"key_stats": 4.0}
    page = page_on_file(course, ASSIGNMENT, "s12_ours")
    assert "7 of 8" in page
    assert "Looked at by hand." in page
    assert "Part of this is not final" not in page


def test_a_submission_that_nbgrader_cannot_write_does_not_stop_the_others(
    course: Course, tmp_path: Path
) -> None:
    records = [
        factories.record(student, exercises=(factories.exercise(points=1.0),))
        for student in ("s01_right", "s02_other_way")
    ]
    broken = tmp_path / "broken.ipynb"
    broken.write_text(json.dumps({**factories.source_notebook(), "nbformat": 99}))
    result = write_gradebook(course, ASSIGNMENT, records, {"s01_right": broken})
    assert set(result.failed) == {"s01_right"}
    assert "nbgrader could not write the gradebook" in result.failed["s01_right"]
    assert result.redone == ("s02_other_way",)


def test_a_time_stamp_makes_the_submission_late_in_nbgrader(course: Course) -> None:
    stamp = course.submitted / "s01_right" / ASSIGNMENT / "timestamp.txt"
    stamp.write_text("2027-01-16 00:00:00 UTC", encoding="ascii")
    assert write_gradebook(course, ASSIGNMENT, factories.a_class()).redone == ("s01_right",)
    with _gradebook(course) as gradebook:
        submission = gradebook.find_submission(ASSIGNMENT, "s01_right")
        assert submission.timestamp.isoformat() == "2027-01-16T00:00:00"


def test_handed_in_again_without_a_time_the_old_time_is_forgotten(course: Course) -> None:
    stamp = course.submitted / "s01_right" / ASSIGNMENT / "timestamp.txt"
    stamp.write_text("2027-01-16 00:00:00 UTC", encoding="ascii")
    write_gradebook(course, ASSIGNMENT, factories.a_class())
    stamp.unlink()
    assert write_gradebook(course, ASSIGNMENT, factories.a_class()).redone == ("s01_right",)
    with _gradebook(course) as gradebook:
        assert gradebook.find_submission(ASSIGNMENT, "s01_right").timestamp is None
    assert write_gradebook(course, ASSIGNMENT, factories.a_class()).redone == ()


@pytest.mark.timeout(60)
def test_a_time_stamp_that_is_a_pipe_is_not_waited_for(course: Course) -> None:
    os.mkfifo(course.submitted / "s01_right" / ASSIGNMENT / "timestamp.txt")
    assert write_gradebook(course, ASSIGNMENT, factories.a_class()).redone == ()


def test_a_name_may_have_blanks_braces_and_any_script(course: Course) -> None:
    record = factories.record("山田 太郎 {x} (2)+")
    assert write_gradebook(course, ASSIGNMENT, [record]).failed == {}
    assert _points(course)["山田 太郎 {x} (2)+"] == 8.0


def test_a_name_that_nbgrader_would_read_as_a_pattern_fails_alone(course: Course) -> None:
    records = [factories.record("[a]"), *factories.a_class()]
    assert set(write_gradebook(course, ASSIGNMENT, records).failed) == {"[a]"}


def test_a_name_that_formgrader_would_write_as_html_fails_alone(course: Course) -> None:
    names = ["<img src=x onerror=alert(1)>", '";alert(1);"', "a>b"]
    records = [*map(factories.record, names), factories.record("R&D O'Brien")]
    result = write_gradebook(course, ASSIGNMENT, records)
    assert set(result.failed) == set(names)
    assert result.redone == ("R&D O'Brien",)


def test_two_writers_cannot_write_at_once(course: Course) -> None:
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(course.root, held, release))
    other.start()
    try:
        assert held.wait(60)
        with pytest.raises(ShardworkError, match="Another process"), lock(course, timeout_s=0.2):
            pass
    finally:
        release.set()
        other.join(60)
    with lock(course, timeout_s=0.2):
        pass


def test_the_autograded_notebook_shows_what_the_cell_said_and_never_on_stderr(
    written: Course,
) -> None:
    notebook = _autograded(written, "s08_raises")
    outputs = {cell["id"]: cell.get("outputs", []) for cell in notebook["cells"]}
    assert "ZeroDivisionError" in _text(outputs["key_stats"][0]["text"])
    kinds = [output["output_type"] for output in outputs["test_key_stats"]]
    assert kinds == ["stream", "execute_result"]
    streams = [o["name"] for outs in outputs.values() for o in outs if o["output_type"] == "stream"]
    assert set(streams) == {"stdout"}


def test_nbgraders_own_autograde_gives_the_same_points_whatever_was_handed_in(
    course: Course,
) -> None:
    # Each of these stops or spoils a stock batch; see docs on what nbgrader 0.9.6 does with them.
    raw = {student: _submission(course, student) for student in RIGHT_POINTS}
    raw["s02_other_way"].write_text('{"cells": ["', encoding="utf-8")
    raw["s05_group"].write_bytes(b"\xff\xfe\x00")
    notebook = json.loads(raw["s06_means"].read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["metadata"].get("nbgrader", {})["schema_version"] = 99
    notebook["cells"] += notebook["cells"]
    raw["s06_means"].write_text(json.dumps(notebook), encoding="utf-8")
    secret = course.root / "secret.txt"
    secret.write_text("secret", encoding="utf-8")
    (raw["s08_raises"].parent / "notes.txt").symlink_to(secret)
    course.gradebook.unlink()  # as after a fresh clone
    shutil.rmtree(course.autograded)

    done = _nbgrader(course, "autograde", ASSIGNMENT)

    assert done.returncode == 0, done.stderr
    assert _points(course) == RIGHT_POINTS
    assert _grades(course)["s12_ours"]["test_key_stats"]["needs_manual_grade"]
    assert not (course.autograded / "s08_raises" / ASSIGNMENT / "notes.txt").exists()
    assert write_gradebook(course, ASSIGNMENT, factories.a_class()).redone == ()


def test_nbgraders_own_feedback_is_our_page(course: Course) -> None:
    done = _nbgrader(course, "generate_feedback", ASSIGNMENT)
    assert done.returncode == 0, done.stderr
    for student in RIGHT_POINTS:
        path = course.feedback / student / ASSIGNMENT / f"{ASSIGNMENT}.html"
        assert path.read_text(encoding="utf-8") == page_on_file(course, ASSIGNMENT, student)


EDITS: dict[str, dict[str, Any]] = {
    # What each student has put into the metadata of the test cell of `key_stats`; full points 5.
    "s03_starter": {"points": 1e6},
    "s04_group": {"points": float("nan")},
    "s05_group": {"points": -5},
    "s06_means": {"points": "5"},
    "s08_raises": {"grade": False},
    "s09_endless": {"solution": True, "locked": False},
    "s10_kills": {"task": True, "grade": False, "solution": True, "cell_type": "markdown"},
    "s12_ours": {"checksum": "0" * 32, "schema_version": 3},
}


@pytest.mark.parametrize("own", [True, False], ids=["shardwork", "nbgrader"])
def test_planted_outputs_and_edited_marks_leave_points_and_flags_as_on_record(
    course: Course, own: bool
) -> None:
    for student, edit in EDITS.items():
        path = _submission(course, student)
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            marks = cell["metadata"].get("nbgrader", {})
            if marks.get("grade_id") == "test_key_stats":
                marks.update(edit)
            if cell["cell_type"] == "code":
                cell["outputs"] = [
                    {"output_type": "execute_result", "execution_count": 1, "metadata": {},
                     "data": {"text/plain": "5.0", "text/html": "<b>PLANTED</b>"}},
                    {"output_type": "stream", "name": "stdout", "text": "PLANTED"},
                ]  # fmt: skip
            if marks.get("grade_id") == "key_stats":  # a code cell that is graded by hand, or not
                marks.update({"solution": False, "grade": True, "points": 100})
        path.write_text(json.dumps(notebook), encoding="utf-8")
    course.gradebook.unlink()
    shutil.rmtree(course.autograded)

    if own:
        assert not write_gradebook(course, ASSIGNMENT, factories.a_class()).failed
    else:
        done = _nbgrader(course, "autograde", ASSIGNMENT)
        assert done.returncode == 0, done.stderr

    assert _points(course) == RIGHT_POINTS
    grades = _grades(course)
    flagged = {
        s for s, cells in grades.items() if any(c["needs_manual_grade"] for c in cells.values())
    }
    assert flagged == {"s12_ours"}
    for student in RIGHT_POINTS:
        assert {n: c["max_score"] for n, c in grades[student].items()} == {
            "test_key_stats": 5.0, "test_top_words": 3.0
        }  # fmt: skip
        assert "PLANTED" not in json.dumps(_autograded(course, student))


STEPS = [
    # Where the writing of a submission is cut off: a function of nbgrader's, and at which call.
    ("nbgrader.converters.base.BaseConverter.init_assignment", 1),
    ("nbgrader.preprocessors.SaveAutoGrades._add_score", 2),
    ("nbgrader.preprocessors.SaveAutoGrades._add_comment", 1),
    ("shardwork.nbgrader_bridge.MarkForReview.preprocess", 1),
    ("nbgrader.preprocessors.AssignLatePenalties.preprocess", 1),
    ("nbgrader.converters.base.BaseConverter.write_single_notebook", 1),
    ("nbgrader.converters.base.BaseConverter.write_single_notebook", 2),
    ("nbgrader.converters.base.BaseConverter.set_permissions", 1),
    ("shardwork.gradebook._time_stamp", 5),
]


@pytest.mark.parametrize(("step", "call"), STEPS)
def test_killed_at_any_step_and_run_again_the_gradebook_equals_the_records(
    course: Course, changed_state: Any, step: str, call: int
) -> None:
    records = _changed_class()
    _killed_at(course, records, step, call)
    result = write_gradebook(course, ASSIGNMENT, records)
    assert result.failed == {}
    assert _state(course) == changed_state
    assert write_gradebook(course, ASSIGNMENT, records).redone == ()


@pytest.fixture(scope="module")
def changed_state(written: Course, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What `_changed_class` looks like in a gradebook that nothing ever interrupted."""
    root = tmp_path_factory.mktemp("clean") / "course"
    shutil.copytree(written.root, root)
    course = load_course(root)
    course.gradebook.unlink()
    shutil.rmtree(course.autograded)
    assert write_gradebook(course, ASSIGNMENT, _changed_class()).failed == {}
    return _state(course)


def _changed_class() -> list[Record]:
    """The class, judged anew: points lower than before, an error of ours come and one gone."""
    records = factories.a_class()
    records[0] = factories.record("s01_right", exercises=(factories.exercise(points=1.0),))
    ours = factories.check(Verdict.ERROR)
    records[1] = factories.record(
        "s02_other_way",
        exercises=(
            factories.exercise(points=2.0, checks=(ours,), provisional=True),
            factories.exercise("top_words"),
        ),
    )
    records[11] = factories.record("s12_ours")
    return records


@pytest.mark.parametrize(
    ("step", "call"),
    [
        ("nbgrader.api.get_alembic_version", 1),
        ("shardwork.release.register_assignment", 1),
        ("nbgrader.preprocessors.SaveCells.preprocess", 1),
        ("nbgrader.api.Gradebook.update_or_create_assignment", 1),
    ],
)
def test_killed_while_the_gradebook_is_made_and_run_again_it_is_whole(
    course: Course, step: str, call: int
) -> None:
    import sqlite3

    course.gradebook.unlink()
    records = factories.a_class()[:2]
    _killed_at(course, records, step, call)
    assert write_gradebook(course, ASSIGNMENT, records).failed == {}
    assert _points(course) == {"s01_right": 8.0, "s02_other_way": 8.0}
    with contextlib.closing(sqlite3.connect(course.gradebook)) as database:
        assert database.execute("SELECT count(*) FROM alembic_version").fetchall() == [(1,)]


def test_an_export_has_no_formula_and_no_shifted_column(course: Course) -> None:
    names = ["=1+1", "+a", "-a", "@a", "x, y", "＝a", "O'Brien"]
    write_gradebook(course, ASSIGNMENT, [factories.record(name) for name in names])
    done = _nbgrader(course, "export", "--to=grades.csv")
    assert done.returncode == 0, done.stderr
    text = (course.root / "grades.csv").read_text(encoding="utf-8")
    table = list(csv.DictReader(io.StringIO(text)))
    found = {row["student_id"]: float(row["score"]) for row in table}
    guarded = {"'=1+1", "'+a", "'-a", "'@a", "x, y", "'＝a", "O'Brien"}
    assert found == RIGHT_POINTS | dict.fromkeys(guarded, 8.0)
    assert {row["max_score"] for row in table} == {"8.0"}


def test_formgraders_autograde_gives_the_same_points_without_a_kernel(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nbgrader.apps.api import NbGraderAPI
    from nbgrader.coursedir import CourseDirectory

    from shardwork import nbgrader_bridge

    records = {record.student: record for record in factories.a_class()}
    monkeypatch.setattr(nbgrader_bridge, "judged", lambda course, a, student: records[student])
    config = nbgrader_bridge.options(course)
    api = NbGraderAPI(CourseDirectory(config=config), config=config)
    answer = api.autograde(ASSIGNMENT, "s04_group")
    assert answer["success"], answer
    assert _points(course)["s04_group"] == 5.5


def test_formgrader_shows_no_script_of_a_student(course: Course) -> None:
    # What a browser makes of it is in tests/browser; here are notebooks that no browser gets.
    import nbformat

    attack = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    notebook = factories.source_notebook()
    cells = [
        nbformat.v4.new_markdown_cell(attack),
        nbformat.v4.new_markdown_cell("![x](attachment:missing.png)" + attack),
        nbformat.v4.new_raw_cell(attack),
        nbformat.v4.new_code_cell("1", execution_count=7),
        nbformat.v4.new_markdown_cell("**bold** [site](https://example.org) `a < b`"),
    ]
    notebook.cells += cells
    html = _as_formgrader(course, notebook)
    assert "<script>alert(1)" not in html
    assert "<img src=x" not in html
    assert "<strong>bold</strong>" in html
    assert 'href="https://example.org"' in html
    assert "<code>a &lt; b</code>" in html


@pytest.mark.parametrize(
    "value",
    ["<script>1</script>", {"a": "<script>1</script>"}, ["<script>1</script>"], float("nan")],
)
def test_no_part_of_a_notebook_comes_through_with_another_type_than_its_own(value: Any) -> None:
    from shardwork.sanitizer import Sanitized

    cell = {
        "cell_type": "code", "id": value, "source": "1", "execution_count": value,
        "metadata": {"tags": [value], "nbgrader": {"grade_id": "a", "points": value, "grade": 1}},
        "outputs": [
            {"output_type": "execute_result", "execution_count": value,
             "data": {"image/png": value, "image/svg+xml": value, "text/html": value},
             "metadata": {"image/png": {"width": value}}},
            {"output_type": value},
            value,
        ],
    }  # fmt: skip
    whole = {"cells": [cell, {"cell_type": value}], "metadata": {"title": value, "widgets": value}}
    clean, resources = Sanitized().preprocess(whole, {"student": "<b>", "index": 1})
    assert "<script>" not in json.dumps(clean)
    assert clean.cells[0].metadata == {
        "nbgrader": {
            "grade_id": "a", "grade": False, "solution": False, "task": False, "locked": False
        }
    }  # fmt: skip
    assert resources == {"student": "&lt;b&gt;", "index": 1}


@pytest.mark.parametrize(
    ("points", "scored"), [(-1.0, 0.0), (0.0, 0.0), (2.5, 2.5), (6.0, 5.0), (float("nan"), None)]
)
def test_points_that_nbgrader_would_misread_never_reach_it(
    points: float, scored: float | None
) -> None:
    # nbgrader 0.9.6 gives full points for a negative score and for NaN, and fails above the most.
    from shardwork.nbgrader_bridge import score_cell

    record = factories.record(exercises=(factories.exercise(points=points),))
    score = score_cell(record, "test_key_stats", 5.0)
    assert score.points == scored
    assert score.needs_review == (scored is None)


def _as_formgrader(course: Course, notebook: Any) -> str:
    """Make a page as formgrader does: a plain HTMLExporter with the course's options."""
    from nbconvert.exporters import HTMLExporter

    from shardwork.nbgrader_bridge import options

    html, _ = HTMLExporter(config=options(course)).from_notebook_node(notebook)
    return str(html)


def _killed_at(course: Course, records: list[Record], step: str, call: int) -> None:
    """Write the gradebook in a process that is gone at the given call of `step`."""
    context = multiprocessing.get_context("fork")
    child = context.Process(target=_write_until, args=(course.root, records, step, call))
    child.start()
    child.join(120)
    assert child.exitcode == 9, "it was to be killed, and was not"


def _write_until(root: Path, records: list[Record], step: str, call: int) -> None:
    tempfile.tempdir = str(root)  # what a killed writer leaves goes with the test
    owner, name = step.rpartition(".")[::2]
    target = pkgutil.resolve_name(owner)
    original, calls = getattr(target, name), itertools.count(1)

    def last(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == call:
            os._exit(9)
        return original(*args, **kwargs)

    setattr(target, name, last)
    write_gradebook(load_course(root), ASSIGNMENT, records)
    os._exit(0)


def _state(course: Course) -> Any:
    """Everything that people see of a gradebook: grades, flags, comments, notebooks."""
    keys = ("auto_score", "manual_score", "needs_manual_grade", "max_score", "extra_credit")
    grades = {
        (student, name): tuple(grade[key] for key in keys)
        for student, cells in _grades(course).items()
        for name, grade in cells.items()
    }
    with _gradebook(course) as gradebook:
        comments = {
            (submission.student.id, comment.name): (comment.auto_comment, comment.manual_comment)
            for submission in gradebook.assignment_submissions(ASSIGNMENT)
            for notebook in submission.notebooks
            for comment in notebook.comments
        }
    return (
        grades,
        comments,
        {
            path.relative_to(course.root): content
            for path, (_, content) in _files(course.autograded).items()
        },
    )


def _release(course: Course) -> None:
    from shardwork.release import compile_release, write_release

    write_release(course, compile_release(course, ASSIGNMENT, "en"))


def _hand_in(course: Course, student: str) -> None:
    """Put the released notebook into `submitted/`."""
    from shardwork.starter import starter_notebook

    folder = course.submitted / student / ASSIGNMENT
    folder.mkdir(parents=True)
    notebook = starter_notebook(course, ASSIGNMENT)
    (folder / f"{ASSIGNMENT}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")


def _submission(course: Course, student: str) -> Path:
    return course.submitted / student / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"


def _gradebook(course: Course) -> Any:
    from nbgrader.api import Gradebook

    return Gradebook(f"sqlite:///{course.gradebook}", course.config.id)


def _points(course: Course) -> dict[str, float]:
    with _gradebook(course) as gradebook:
        found = gradebook.assignment_submissions(ASSIGNMENT)
        return {submission.student.id: submission.score for submission in found}


def _grades(course: Course) -> dict[str, dict[str, dict[str, Any]]]:
    with _gradebook(course) as gradebook:
        return {
            submission.student.id: {
                grade.name: grade.to_dict() for nb in submission.notebooks for grade in nb.grades
            }
            for submission in gradebook.assignment_submissions(ASSIGNMENT)
        }


def _autograded(course: Course, student: str) -> dict[str, Any]:
    path = course.autograded / student / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return notebook


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "".join(value)


def _files(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.rglob("*") if p.is_file()}


def _nbgrader(course: Course, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(REPOSITORY), os.environ.get("PYTHONPATH", "")))
    return subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=course.root,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def _hold(root: Path, held: Any, release: Any) -> None:
    with lock(load_course(root)):
        held.set()
        release.wait(60)
