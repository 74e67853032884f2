"""`course_config.py`: what is wrong with it is said with its place, and nothing else is guessed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shardwork.course import Course, Isolation, Limits, Track, find_course, load_course
from shardwork.errors import CourseError, ExitCode, NothingMatched

pytestmark = pytest.mark.unit

CONFIG: dict[str, Any] = {
    "id": "small",
    "title": "A small course",
    "languages": ["en", "ja"],
    "assignments": [
        {
            "name": "ch0_lists",
            "title": "Lists",
            "due": "2027-01-15T23:59:59+09:00",
            "seed": 7,
            "exercises": [
                {"name": "halves", "points": 2, "minutes": 5, "track": "core"},
                {"name": "runs", "points": 2.5, "minutes": 5, "weights": {"test_edges": 3}},
            ],
        },
        {
            "name": "ch1_bags",
            "title": "Bags",
            "exercises": [{"name": "counts", "points": 1, "minutes": 5}],
        },
    ],
}


@pytest.fixture
def load(tmp_path: Path) -> Callable[[object], Course]:
    def call(config: object) -> Course:
        (tmp_path / "course_config.py").write_text(f"course = {config!r}\n", encoding="utf-8")
        return load_course(tmp_path)

    return call


def changed(place: str, value: object) -> dict[str, Any]:
    """Return CONFIG with the value at `place` (`assignments.0.due`) replaced, or added."""
    config = copy.deepcopy(CONFIG)
    target: Any = config
    *way, last = place.split(".")
    for step in way:
        target = target[int(step) if step.isdigit() else step]
    target[last] = value
    return config


def test_a_course_is_read_with_its_defaults(load) -> None:
    course = load(CONFIG)
    lists, bags = course.config.assignments
    assert course.config.isolation is Isolation.BUBBLEWRAP
    assert lists.max_points == 4.5
    assert lists.exercise("halves").track is Track.CORE
    assert lists.exercise("runs").weights == {"test_edges": 3.0}
    assert lists.due is not None
    assert lists.due.utcoffset() == timedelta(hours=9)
    assert (bags.due, bags.seed, bags.limits, bags.cluster.spark_master) == (
        None,
        0,
        Limits(),
        None,
    )


def test_the_parts_of_a_course_lie_in_its_folder(load, tmp_path: Path) -> None:
    course = load(CONFIG)
    assert course.source_notebook("ch0_lists") == tmp_path / "source/ch0_lists/ch0_lists.ipynb"
    assert course.gradebook == tmp_path / "gradebook.db"


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("assignments.0.due", "next Friday", "at `$.assignments[0].due`"),
        ("assignments.0.exercises.1.points", 0, "at `$.assignments[0].exercises[1].points`"),
        ("assignments.0.exercises.1.points", "2", "at `$.assignments[0].exercises[1].points`"),
        ("assignments.0.exercises.1.minutes", 0, "at `$.assignments[0].exercises[1].minutes`"),
        ("assignments.0.exercises.0.track", "none", "at `$.assignments[0].exercises[0].track`"),
        ("assignments.0.exercises.0.weights", {"t": -1}, "exercises[0].weights[...]`"),
        ("assignments.0.exercises", [], "at `$.assignments[0].exercises`"),
        ("assignments.0.name", "Chapter 0", "at `$.assignments[0].name`"),
        ("assignments.0.name", "../up", "at `$.assignments[0].name`"),
        ("assignments.0.points", 5, "unknown field `points` - at `$.assignments[0]`"),
        ("assignments.1.limits", {"memory_mb": 1}, "at `$.assignments[1].limits.memory_mb`"),
        ("assignments.1.cluster", {"spark_master": "yarn"}, "cluster.spark_master`"),
        ("assignments", [], "at `$.assignments`"),
        ("languages", ["english"], "at `$.languages[0]`"),
        ("languages", [], "at `$.languages`"),
        ("isolation", "jail", "at `$.isolation`"),
        ("seed", 3, "unknown field `seed`"),
    ],
)
def test_a_wrong_value_is_named_by_its_place(load, place: str, value: object, message: str) -> None:
    with pytest.raises(CourseError) as raised:
        load(changed(place, value))
    assert message in str(raised.value)
    assert "course_config.py" in str(raised.value)
    assert raised.value.exit_code == ExitCode.USAGE


def test_a_missing_value_is_named(load) -> None:
    config = copy.deepcopy(CONFIG)
    del config["assignments"][0]["exercises"][0]["minutes"]
    with pytest.raises(CourseError, match=r"`minutes` - at `\$\.assignments\[0\]\.exercises\[0\]`"):
        load(config)


def test_an_assignment_that_stands_twice_is_named_with_both_places(load) -> None:
    config = changed("assignments.1.name", "ch0_lists")
    with pytest.raises(CourseError, match=r"'ch0_lists' stands twice.*\[0\]\.name.*\[1\]\.name"):
        load(config)


def test_an_exercise_that_stands_twice_is_named_with_its_place(load) -> None:
    config = changed("assignments.0.exercises.1.name", "halves")
    with pytest.raises(
        CourseError,
        match=r"'halves' stands twice - at `\$\.assignments\[0\]\.exercises\[1\]\.name`",
    ):
        load(config)


def test_two_assignments_may_have_exercises_of_the_same_name(load) -> None:
    load(changed("assignments.1.exercises.0.name", "halves"))


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ('course = {\n    "id": "small",\n    "title" "A"\n}\n', 3, "SyntaxError"),
        ('name = "small"\ncourse = {"id": nmae}\n', 2, "NameError: name 'nmae' is not defined"),
        ("\n\n\nraise ValueError('no')\n", 4, "ValueError: no"),
        ('course = {\n  "id": 1 / 0,\n}\n', 2, "ZeroDivisionError"),
    ],
)
def test_what_cannot_be_run_is_named_with_its_line(
    tmp_path: Path, text: str, line: int, what: str
) -> None:
    path = tmp_path / "course_config.py"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CourseError) as raised:
        load_course(tmp_path)
    assert str(raised.value).startswith(f"{path}, line {line}: {what}")
    assert "Correct the file" in str(raised.value)


def test_a_module_that_is_missing_is_named_with_the_line_that_imports_it(tmp_path: Path) -> None:
    (tmp_path / "course_config.py").write_text("import os\nimport no_such_module\n")
    with pytest.raises(CourseError, match=r"line 2: ModuleNotFoundError: .*no_such_module"):
        load_course(tmp_path)


def test_a_file_that_stops_python_does_not_stop_the_caller(tmp_path: Path) -> None:
    (tmp_path / "course_config.py").write_text("import sys\nsys.exit(3)\n")
    with pytest.raises(CourseError, match="line 2: SystemExit"):
        load_course(tmp_path)


def test_a_file_that_is_not_utf_8_is_a_course_error(tmp_path: Path) -> None:
    (tmp_path / "course_config.py").write_bytes(b'course = {"title": "\xff"}\n')
    with pytest.raises(CourseError, match=r"course_config\.py"):
        load_course(tmp_path)


def test_a_file_without_the_name_course_says_so(tmp_path: Path) -> None:
    (tmp_path / "course_config.py").write_text("cuorse = {}\n")
    with pytest.raises(CourseError, match="binds no name `course`"):
        load_course(tmp_path)


def test_a_folder_without_configuration_is_no_course(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="no course folder"):
        load_course(tmp_path)


def test_an_unknown_assignment_is_answered_with_those_there_are(load) -> None:
    with pytest.raises(NothingMatched, match="'ch9'; it has: ch0_lists, ch1_bags"):
        load(CONFIG).assignment("ch9")


def test_the_course_is_found_from_a_folder_inside_it(load, tmp_path: Path) -> None:
    load(CONFIG)
    inside = tmp_path / "source" / "ch0_lists"
    inside.mkdir(parents=True)
    assert find_course(inside) == tmp_path


def test_isolation_levels_are_ordered_from_weak_to_strong() -> None:
    assert Isolation.NONE.rank < Isolation.BUBBLEWRAP.rank
