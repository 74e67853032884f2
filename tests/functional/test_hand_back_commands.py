"""`shardwork feedback` and `shardwork report`, called as the console script calls them."""

from __future__ import annotations

from pathlib import Path

import pytest

from shardwork.command import main
from shardwork.course import Course
from shardwork.errors import ExitCode
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
