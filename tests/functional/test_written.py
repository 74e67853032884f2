"""Written questions in a real release and a real gradebook of nbgrader."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import polib
import pytest

from shardwork.catalogue import catalogue_path, update_catalogue
from shardwork.course import Course
from shardwork.feedback import page_on_file
from shardwork.gradebook import write_gradebook
from shardwork.handgrading import read_hand_grading
from shardwork.ingest import ingest
from shardwork.leaks import collect_secrets, find_leaks
from shardwork.record import Record
from shardwork.recordfile import write_record
from shardwork.release import compile_release, write_release
from shardwork.report import write_report
from tests import factories
from tests.factories import ASSIGNMENT, EMPTY, GUIDE, QUESTION
from tests.functional.test_gradebook import (
    CONFIG_WITH_RECORDS_ONLY,
    _autograded,
    _gradebook,
    _grades,
    _nbgrader,
    _points,
    _text,
)

pytestmark = [
    pytest.mark.functional,
    # nbgrader 0.9.6 and the libraries under it; none of it is ours to mend
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning"),
]
WHERE = (ASSIGNMENT, ASSIGNMENT)
SMALL_TABLE = "小さい表を各エグゼキュータに一度だけ送ります。"


@pytest.fixture
def course(tmp_path: Path) -> Course:
    course = factories.write_written_course(tmp_path, ("en", "ja"))
    (tmp_path / "nbgrader_config.py").write_text(CONFIG_WITH_RECORDS_ONLY, encoding="utf-8")
    update_catalogue(course, ASSIGNMENT, "ja")
    path = catalogue_path(course, "ja", ASSIGNMENT)
    po = polib.pofile(str(path))
    for entry in po:
        if "broadcast join fits" in entry.msgid:
            entry.msgstr = f"ブロードキャスト結合が適しています。{SMALL_TABLE}"
        if "Which join" in entry.msgid:
            entry.msgstr = "どの結合を選びますか。理由も述べてください。"
    po.save(str(path))
    for language in course.config.languages:
        write_release(course, compile_release(course, ASSIGNMENT, language))
    return course


def hand_in(course: Course, student: str, text: str | None, language: str = "en") -> Record:
    """Hand in the release with this answer (None: as it is); return the record of judging it."""
    path = course.release / language / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    if text is not None:
        notebook["cells"][-1]["source"] = text
    path = course.submitted / student / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook), encoding="utf-8")
    taken = ingest(course, course.assignment(ASSIGNMENT), student)
    record = factories.record(
        student, written=taken.written, submission_digest=taken.digest, language=taken.language
    )
    write_record(course, record)
    return record


def grade_by_hand(course: Course, student: str, points: float, comment: str = "") -> None:
    """Do what formgrader's `GradeHandler.put` and `CommentHandler.put` of nbgrader 0.9.6 do."""
    with _gradebook(course) as gradebook:
        grade = gradebook.find_grade(QUESTION, *WHERE, student)
        grade.manual_score, grade.needs_manual_grade = points, False
        gradebook.find_comment(QUESTION, *WHERE, student).manual_comment = comment or None
        gradebook.db.commit()


def written_grade(course: Course, student: str) -> tuple[float | None, float | None, bool]:
    grade = _grades(course)[student][QUESTION]
    return grade["auto_score"], grade["manual_score"], grade["needs_manual_grade"]


def cells(course: Course, student: str) -> dict[str, str]:
    return {c["id"]: _text(c["source"]) for c in _autograded(course, student)["cells"]}


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_release_has_the_question_and_an_empty_cell_and_nothing_of_the_guide(
    course: Course, language: str
) -> None:
    compiled = compile_release(course, ASSIGNMENT, language)
    notebook = json.loads(compiled.files[f"{ASSIGNMENT}.ipynb"])
    last = notebook["cells"][-1]
    assert (last["id"], _text(last["source"])) == (QUESTION, EMPTY)
    asked = {"en": "Which join, and why?", "ja": "どの結合を選びますか。"}[language]
    assert asked in _text(notebook["cells"][-2]["source"])
    secrets = collect_secrets(course, ASSIGNMENT)
    assert find_leaks(secrets, compiled.files) == []


@pytest.mark.parametrize(
    "given_away",
    [
        "Remember: the small table is sent once to every executor, and the large one stays put.",
        SMALL_TABLE,
        "says what is sent where, and what HAPPENS: "
        "Says what is sent where, and what happens when the small table grows",
    ],
)
def test_a_lesson_that_gives_the_guide_away_is_found(course: Course, given_away: str) -> None:
    files = dict(compile_release(course, ASSIGNMENT, "en").files)
    notebook = json.loads(files[f"{ASSIGNMENT}.ipynb"])
    notebook["cells"][0]["source"] = given_away
    files[f"{ASSIGNMENT}.ipynb"] = json.dumps(notebook, ensure_ascii=False).encode()
    (leak,) = find_leaks(collect_secrets(course, ASSIGNMENT), files)
    assert "a model answer or a rubric" in str(leak)


def test_an_answer_waits_for_a_person_and_no_answer_is_zero(course: Course) -> None:
    records = [
        hand_in(course, "answered", "A broadcast join, because ..."),
        hand_in(course, "silent", None),
        hand_in(course, "stumm", "", "ja"),
    ]
    assert write_gradebook(course, ASSIGNMENT, records).failed == {}
    assert written_grade(course, "answered") == (None, None, True)
    assert written_grade(course, "silent") == (0.0, None, False)
    assert written_grade(course, "stumm") == (0.0, None, False)
    assert _points(course) == {"answered": 8.0, "silent": 8.0, "stumm": 8.0}
    with _gradebook(course) as gradebook:
        assert gradebook.find_assignment(ASSIGNMENT).max_score == 11.0
        assert gradebook.find_comment(QUESTION, *WHERE, "silent").auto_comment == "No response."
    assert write_gradebook(course, ASSIGNMENT, records).redone == ()
    assert read_hand_grading(course, ASSIGNMENT)["answered"].waiting == {QUESTION}


def test_a_refused_submission_has_nothing_to_grade_by_hand(course: Course) -> None:
    refused = factories.record("eve", status="refused", exercises=(), reason="no notebook")
    assert write_gradebook(course, ASSIGNMENT, [refused]).failed == {}
    assert written_grade(course, "eve") == (0.0, None, False)
    assert write_gradebook(course, ASSIGNMENT, [refused]).redone == ()


def test_formgrader_shows_the_guide_above_the_answer_in_the_students_language(
    course: Course,
) -> None:
    records = [hand_in(course, "alice", "Mine."), hand_in(course, "yui", "私の答えです。", "ja")]
    write_gradebook(course, ASSIGNMENT, records)
    for student, said in (("alice", "A broadcast join fits"), ("yui", "ブロードキャスト結合")):
        shown = cells(course, student)
        assert list(shown)[-2:] == [f"guide-{QUESTION}", QUESTION]
        assert said in shown[f"guide-{QUESTION}"]
        assert "not the student's" in shown[f"guide-{QUESTION}"]
    assert cells(course, "alice")[QUESTION] == "Mine."


def test_points_by_hand_stay_over_a_regrade_and_add_up_everywhere(course: Course) -> None:
    records = [hand_in(course, "alice", "Mine."), hand_in(course, "bob", None)]
    write_gradebook(course, ASSIGNMENT, records)
    grade_by_hand(course, "alice", 2.5, "Say what moves.")
    # another exercise of the same notebook is judged anew, with other points
    worse = factories.record(
        "alice", written=records[0].written,
        exercises=(factories.exercise(points=1.0), factories.exercise("top_words")),
    )  # fmt: skip
    write_record(course, worse)
    assert write_gradebook(course, ASSIGNMENT, [worse, records[1]]).redone == ("alice",)
    assert written_grade(course, "alice") == (None, 2.5, False)
    assert _points(course) == {"alice": 6.5, "bob": 8.0}
    page = page_on_file(course, ASSIGNMENT, "alice")
    assert "6.5 of 11" in page
    assert "Say what moves." in page
    assert "Waiting" not in page
    _, report = write_report(course, ASSIGNMENT, [worse, records[1]])
    assert report.answers_waiting == 0
    assert report.to_do == ()
    assert (report.written[0].graded, report.written[0].mean) == (1, 2.5)
    assert _nbgrader(course, "export").returncode == 0
    with (course.root / "grades.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["student_id"]: row for row in csv.DictReader(io.StringIO(file.read()))}
    assert {name: (row["score"], row["max_score"]) for name, row in rows.items()} == {
        "alice": ("6.5", "11.0"), "bob": ("8.0", "11.0"),
    }  # fmt: skip


def test_a_changed_answer_is_asked_for_anew_and_what_was_entered_is_kept(course: Course) -> None:
    write_gradebook(course, ASSIGNMENT, [hand_in(course, "alice", "Mine.")])
    grade_by_hand(course, "alice", 1.0, "Too short.")
    changed = hand_in(course, "alice", "Mine, and what is sent where.")
    assert write_gradebook(course, ASSIGNMENT, [changed]).redone == ("alice",)
    assert written_grade(course, "alice") == (None, 1.0, True)
    assert read_hand_grading(course, ASSIGNMENT)["alice"].waiting == {QUESTION}
    page = page_on_file(course, ASSIGNMENT, "alice")
    assert "You have changed this answer since it was graded" in page
    assert "Too short." not in page
    _, report = write_report(course, ASSIGNMENT, [changed])
    assert report.answers_waiting == 1
    # asked for as long as nobody answers, whatever else is written meanwhile
    stamp = course.submitted / "alice" / ASSIGNMENT / "timestamp.txt"
    stamp.write_text("2027-01-14 00:00:00 UTC", encoding="ascii")
    assert write_gradebook(course, ASSIGNMENT, [changed]).redone == ("alice",)
    assert written_grade(course, "alice") == (None, 1.0, True)
    grade_by_hand(course, "alice", 3.0)
    stamp.write_text("2027-01-14 01:00:00 UTC", encoding="ascii")
    assert write_gradebook(course, ASSIGNMENT, [changed]).redone == ("alice",)
    assert written_grade(course, "alice") == (None, 3.0, False)


def test_a_new_rubric_reaches_formgrader_and_asks_nobody_anew(course: Course) -> None:
    record = hand_in(course, "alice", "Mine.")
    write_gradebook(course, ASSIGNMENT, [record])
    grade_by_hand(course, "alice", 2.0)
    path = course.source_notebook(ASSIGNMENT)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("Names the join", "Names any join"), encoding="utf-8")
    assert write_gradebook(course, ASSIGNMENT, [record]).redone == ("alice",)
    assert "Names any join" in cells(course, "alice")[f"guide-{QUESTION}"]
    assert written_grade(course, "alice") == (None, 2.0, False)


def test_nbgraders_own_autograde_asks_again_as_stock_nbgrader_does(course: Course) -> None:
    records = [hand_in(course, "alice", "Mine."), hand_in(course, "bob", None)]
    write_gradebook(course, ASSIGNMENT, records)
    grade_by_hand(course, "alice", 2.0)
    done = _nbgrader(course, "autograde", ASSIGNMENT, "--force")
    assert done.returncode == 0, done.stderr
    assert written_grade(course, "alice") == (None, 2.0, True)
    assert written_grade(course, "bob") == (0.0, None, False)
    assert f"guide-{QUESTION}" in cells(course, "alice")


def test_nbgraders_own_feedback_page_does_not_hold_the_guide(course: Course) -> None:
    record = hand_in(course, "alice", "Mine.")
    write_gradebook(course, ASSIGNMENT, [record])
    (course.records / ASSIGNMENT / "alice.json").unlink()  # so the page is nbgrader's
    done = _nbgrader(course, "generate_feedback", ASSIGNMENT)
    assert done.returncode == 0, done.stderr
    path = course.feedback / "alice" / ASSIGNMENT / f"{ASSIGNMENT}.html"
    page = path.read_text(encoding="utf-8")
    assert "Mine." in page
    assert "broadcast join fits" not in page
    assert "Names the join" not in page


def test_extra_credit_counts_once(course: Course) -> None:
    write_gradebook(course, ASSIGNMENT, [hand_in(course, "alice", "Mine.")])
    grade_by_hand(course, "alice", 2.0)
    with _gradebook(course) as gradebook:
        gradebook.find_grade(QUESTION, *WHERE, "alice").extra_credit = 0.5
        gradebook.db.commit()
    assert _points(course) == {"alice": 10.5}
    assert read_hand_grading(course, ASSIGNMENT)["alice"].points == {QUESTION: 2.5}


def test_a_question_that_is_new_in_the_course_is_entered_into_the_gradebook(
    tmp_path: Path,
) -> None:
    plain = factories.write_course(tmp_path / "plain")
    write_release(plain, compile_release(plain, ASSIGNMENT, "en"))
    from shardwork.gradebook import ensure_registered

    ensure_registered(plain, ASSIGNMENT)
    later: Any = factories.write_written_course(tmp_path / "later")
    for name in ("course_config.py", f"source/{ASSIGNMENT}/{ASSIGNMENT}.ipynb"):
        (plain.root / name).write_bytes((later.root / name).read_bytes())
    from shardwork.course import load_course

    changed = load_course(plain.root)
    ensure_registered(changed, ASSIGNMENT)
    with _gradebook(changed) as gradebook:
        assert gradebook.find_assignment(ASSIGNMENT).max_score == 11.0
    # and one that is gone is taken out again, as long as nobody has handed in
    for name in ("course_config.py", f"source/{ASSIGNMENT}/{ASSIGNMENT}.ipynb"):
        other = factories.write_course(tmp_path / f"again-{Path(name).stem}")
        (plain.root / name).write_bytes((other.root / name).read_bytes())
    ensure_registered(load_course(plain.root), ASSIGNMENT)
    with _gradebook(changed) as gradebook:
        assert gradebook.find_assignment(ASSIGNMENT).max_score == 8.0


def test_the_guide_that_the_tests_expect_is_the_one_in_the_course(course: Course) -> None:
    source = course.source_notebook(ASSIGNMENT).read_text(encoding="utf-8")
    assert json.dumps(GUIDE.splitlines()[0])[1:-1] in source
