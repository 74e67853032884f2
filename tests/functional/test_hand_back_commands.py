"""`shardwork feedback` and `shardwork report`, called as the console script calls them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from shardwork import progress
from shardwork.batch import Graded, Settings
from shardwork.classtable import encode, print_class
from shardwork.command import main
from shardwork.course import Course, Isolation
from shardwork.errors import ExitCode
from shardwork.handback import HandedBack
from shardwork.progress import Outcome, grade_with_progress
from shardwork.record import Cause, Verdict
from shardwork.recordfile import record_path, write_record
from tests import factories
from tests.factories import ASSIGNMENT

pytestmark = [
    pytest.mark.functional,
    # matplotlib 3 calls pyparsing by names that pyparsing has deprecated
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def course(tmp_path: Path) -> Course:
    course = factories.write_course(tmp_path)
    for record in factories.a_class():
        write_record(course, record)
    return course


def _run(course: Course, *arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["--course", str(course.root), *arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_feedback_writes_a_page_for_each_record_and_prints_where(
    course: Course, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(course, "feedback") == ExitCode.DONE
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "feedback/s01_right/ch2_spark/ch2_spark.html"
    assert len(printed) == 12
    assert all((course.root / line).is_file() for line in printed)


def test_feedback_for_one_student_writes_one_page(
    course: Course, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(course, "feedback", ASSIGNMENT, "--student", "s04_group") == ExitCode.DONE
    assert capsys.readouterr().out.splitlines() == ["feedback/s04_group/ch2_spark/ch2_spark.html"]
    assert not (course.feedback / "s01_right").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("feedback", "ch9"), "has no assignment 'ch9'"),
        (("feedback", "--student", "nobody"), "No record of 'nobody'"),
        (("report", "ch9"), "has no assignment 'ch9'"),
    ],
)
def test_what_matches_nothing_is_named_with_exit_status_five(
    course: Course, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert _run(course, *arguments) == ExitCode.NOTHING_MATCHED
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("command", ["feedback", "report"])
def test_without_any_record_the_next_step_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    course = factories.write_course(tmp_path)
    assert _run(course, command) == ExitCode.NOTHING_MATCHED
    assert "Run `shardwork grade` first" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["feedback", "report"])
def test_a_broken_record_is_named(
    course: Course, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    path = record_path(course, ASSIGNMENT, "s03_starter")
    path.write_text("{", encoding="utf-8")
    assert _run(course, command) == ExitCode.INTERNAL
    assert str(path) in capsys.readouterr().err


def test_report_writes_one_page_and_says_how_much_waits(
    course: Course, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(course, "report") == ExitCode.DONE
    assert capsys.readouterr().out == "report/ch2_spark/index.html   12 submissions, 2 to do\n"
    assert (course.report / ASSIGNMENT / "index.html").is_file()


def test_a_language_that_the_course_does_not_have_is_a_usage_error(
    course: Course, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(course, "report", "--language", "fr") == ExitCode.USAGE
    assert "the course has: en" in capsys.readouterr().err


ESCAPES = "\x1b[31m\x1b]0;title\x07\x9b2J\u202e\u200b\x00\r\x08"
MARKUP = "[red]x[/red] [/nothing] [link=http://sink.invalid]y[/link]"
HOSTILE = f"{ESCAPES}{MARKUP}\nproblem: forged line"
HIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")


def _hostile_outcome() -> Outcome:
    """A class in which every text that a terminal shows comes from a student."""
    check = factories.check(Verdict.FAILED, cause=Cause.RAISED, code=HOSTILE, message=HOSTILE)
    exercises = (factories.exercise(points=0, checks=(check,)),)
    graded = (
        Graded(HOSTILE, factories.record(HOSTILE, exercises=exercises), True),
        Graded(HOSTILE, factories.record(HOSTILE, status="refused", reason=HOSTILE), False),
        Graded(HOSTILE, None, False, problem=HOSTILE),
    )
    return Outcome(ASSIGNMENT, graded, HandedBack((), None, (HOSTILE,)), 1.0)


def test_the_table_of_a_class_has_no_terminal_sequence_and_no_markup_of_a_student(
    course: Course, capsys: pytest.CaptureFixture[str]
) -> None:
    print_class(course, _hostile_outcome(), {HOSTILE: HOSTILE})
    printed = capsys.readouterr().out
    assert not HIDDEN.search(printed)
    assert "[red]x[/red]" in printed  # shown as it was written, and no error about [/nothing]
    forged = [line for line in printed.splitlines() if line.startswith("problem: forged")]
    assert forged == []


def test_the_json_of_a_class_has_no_character_that_a_terminal_obeys(course: Course) -> None:
    assert not HIDDEN.search(encode(_hostile_outcome()))


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_shows_no_terminal_sequence_and_no_markup_of_a_student(
    course: Course,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,
) -> None:
    outcome = _hostile_outcome()

    def grade(*_: Any, done: Any, **__: Any) -> list[Graded]:
        for one in outcome.graded:
            done(one)
        raise KeyboardInterrupt

    monkeypatch.setattr(progress, "grade", grade)
    monkeypatch.setattr("sys.argv", ["shardwork", "grade", "--student", HOSTILE])
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("COLUMNS", "400")
    settings = Settings(Isolation.NONE, 1)
    with pytest.raises(KeyboardInterrupt):
        grade_with_progress(course, course.assignment(ASSIGNMENT), settings, ["x", "y", "z"])
    printed = capsys.readouterr().err
    assert "[red]x[/red]" in printed
    assert "\x1b]0;" not in printed
    assert "sink.invalid]y[/link]" in printed
    if not terminal:
        assert not HIDDEN.search(printed)
    for hidden in ("\x9b", "\u202e", "\u200b", "\x00", "\x08", "\x1b[31m\x1b"):
        assert hidden not in printed
