"""The names that graders give to wrong answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from shardwork.course import Course
from shardwork.errors import CourseError
from shardwork.misconceptions import Misconception, load_misconceptions
from tests import factories
from tests.factories import ASSIGNMENT

pytestmark = pytest.mark.unit


@pytest.fixture
def course(tmp_path: Path) -> Course:
    return factories.course(tmp_path)


def _write(course: Course, text: str) -> None:
    path = course.graders / ASSIGNMENT / "misconceptions.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_misconceptions_come_by_exercise_and_code(course: Course) -> None:
    _write(course, factories.MISCONCEPTIONS)
    found = load_misconceptions(course, ASSIGNMENT)
    assert list(found) == ["key_stats"]
    assert found["key_stats"]["GROUP_BY_KEY"] == Misconception(
        cause="All values of a key are sent to one place before anything is added up.",
        pointer='Read "Combine before you shuffle" again.',
        cell="key_stats-lesson-combine",
    )


def test_an_assignment_without_the_file_has_none(course: Course) -> None:
    assert load_misconceptions(course, ASSIGNMENT) == {}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[key_stats.AB]\ncause = "c"\npointer = 3\ncell = "x"\n', "$.key_stats.AB.pointer"),
        ('[key_stats.AB]\ncause = ""\npointer = "p"\ncell = "x"\n', "$.key_stats.AB.cause"),
        ('[key_stats.AB]\ncause = "c"\npointer = "p"\ncell = "a b"\n', "$.key_stats.AB.cell"),
        ('[key_stats.AB]\ncause = "c"\n', "$.key_stats.AB"),
        ('[key_stats.AB]\nfix = "no"\n', "$.key_stats.AB"),
        ('[key_stats.ab]\ncause = "c"\n', "$.key_stats.ab"),
        ("[key_stats]\nA_CODE = 1\n", "$.key_stats.A_CODE"),
        ("key_stats = 1\n", "$.key_stats"),
        ("[no_such.A_CODE]\n", "$.no_such"),
    ],
)
def test_an_error_names_the_file_and_the_place(course: Course, text: str, place: str) -> None:
    _write(course, text)
    with pytest.raises(CourseError) as caught:
        load_misconceptions(course, ASSIGNMENT)
    assert "misconceptions.toml" in str(caught.value)
    assert f"`{place}`" in str(caught.value)


def test_a_file_that_is_no_toml_is_named_with_its_line(course: Course) -> None:
    _write(course, "[key_stats.A_CODE\n")
    with pytest.raises(CourseError, match=r"misconceptions\.toml: .*line 1"):
        load_misconceptions(course, ASSIGNMENT)
