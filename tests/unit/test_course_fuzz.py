"""Whatever stands in `course_config.py`, it is a course or a CourseError that names the place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shardwork.course import Course, load_course
from shardwork.errors import CourseError, NothingMatched

pytestmark = pytest.mark.unit

keys = st.sampled_from([
    "id", "title", "assignments", "exercises", "name", "points", "minutes", "weights", "due",
    "seed", "limits", "cluster", "cell_s", "memory_mb", "spark_master", "languages", "isolation",
    "track",
])  # fmt: skip
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10),
    st.binary(max_size=4),
    st.sampled_from([
        "ch0", "../x", "a\0b", "en", "none", "core", "local[2]", "local[999999999]", 10**400, -1, 0,
        "2027-01-16T10:00:00+09:00", "9999-12-31T23:59:59-23:59",
    ]),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(keys | st.text(max_size=5) | st.integers(), inner, max_size=5)
    ),
    max_leaves=20,
)
exercise = st.fixed_dictionaries(
    {"name": st.just("total") | values, "points": st.just(4) | values, "minutes": st.just(5)},
    optional={"weights": values, "track": values},
)
assignment = st.fixed_dictionaries(
    {"name": st.just("ch0") | values, "title": st.just("Zero") | values,
     "exercises": st.lists(exercise, max_size=3) | values},
    optional={"due": values, "seed": values, "limits": values, "cluster": values},
)  # fmt: skip
course = st.fixed_dictionaries(
    {"id": st.just("tiny") | values, "title": st.just("Tiny"),
     "assignments": st.lists(assignment, max_size=3) | values},
    optional={"languages": values, "isolation": values},
)  # fmt: skip


def load(root: Path, what: Any) -> Course | None:
    (root / "course_config.py").write_text(
        f"nan = float('nan')\ninf = float('inf')\ncourse = {what!r}\n", encoding="utf-8"
    )
    try:
        return load_course(root)
    except CourseError as error:
        assert "course_config.py" in str(error)
        return None


@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(course | values)
@example({"id": "a", "title": "", "assignments": [{"name": "b", "title": "", "exercises": []}]})
def test_any_dictionary_is_a_course_or_names_what_is_wrong(tmp_path: Path, what: Any) -> None:
    loaded = load(tmp_path, what)
    if loaded is None:
        return
    for one in loaded.config.assignments:
        assert loaded.assignment(one.name) is one
        assert 0 < one.max_points < float("inf")
        assert "/" not in one.name and "." not in one.name  # it becomes a folder's name
    with pytest.raises(NothingMatched):
        loaded.assignment("no such assignment")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80))
def test_any_bytes_are_a_course_or_say_what_is_wrong(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "course_config.py").write_bytes(b"'''" + data.replace(b"'''", b"") + b"\n")
    with pytest.raises(CourseError):
        load_course(tmp_path)
