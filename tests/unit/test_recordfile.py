"""Records on disk: whole or not at all, and never another's."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardwork.course import Course
from shardwork.errors import MachineError, ShardworkError
from shardwork.recordfile import (
    check_student,
    read_record,
    read_records,
    record_digest,
    record_path,
    write_record,
)
from tests import factories
from tests.factories import ASSIGNMENT

pytestmark = pytest.mark.unit


@pytest.fixture
def course(tmp_path: Path) -> Course:
    return factories.course(tmp_path)


def test_a_record_that_is_written_is_read_back_equal(course: Course) -> None:
    for record in factories.a_class():
        assert read_record(write_record(course, record)) == record


def test_a_record_lies_in_the_folder_of_its_assignment_under_the_students_name(
    course: Course,
) -> None:
    path = write_record(course, factories.record("alice"))
    assert path == course.root / "records" / "ch2_spark" / "alice.json"
    assert json.loads(path.read_text())["schema"] == "shardwork.record/2"


def test_records_come_sorted_by_student(course: Course) -> None:
    for student in ("c", "a", "a b", "B"):
        write_record(course, factories.record(student))
    names = [record.student for record in read_records(course, ASSIGNMENT)]
    assert names == ["B", "a", "a b", "c"]


def test_an_assignment_without_records_has_none(course: Course) -> None:
    assert read_records(course, ASSIGNMENT) == []


def test_equal_records_have_equal_digests_and_others_do_not() -> None:
    whole = factories.record(exercises=(factories.exercise(points=0),))
    real = factories.record(exercises=(factories.exercise(points=0.0),))
    assert record_digest(whole) == record_digest(real)
    assert record_digest(whole) != record_digest(factories.record())


def test_half_a_surrogate_pair_in_a_students_text_does_not_lose_the_record(course: Course) -> None:
    check = factories.check(message="\ud800 printed")
    record = factories.record(exercises=(factories.exercise(checks=(check,)),))
    read = read_record(write_record(course, record))
    assert read.exercises[0].checks[0].message == "? printed"


@pytest.mark.parametrize("failing", ["fsync", "replace", "write"])
def test_a_full_disk_leaves_the_old_record_and_no_other_file(
    course: Course, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = write_record(course, factories.record())
    before = path.read_bytes()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if failing == "replace":
        monkeypatch.setattr(Path, "replace", full)
    elif failing == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr("tempfile.mkstemp", full)
    with pytest.raises(MachineError, match="disk is full") as caught:
        write_record(course, factories.record(points=1.0))
    assert str(path) in str(caught.value)
    assert "run the same command again" in str(caught.value)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_an_interrupt_while_writing_leaves_no_file_behind(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_record(course, factories.record())
    assert list((course.records / ASSIGNMENT).iterdir()) == []


def test_a_broken_record_is_named_with_the_next_step(course: Course) -> None:
    path = write_record(course, factories.record())
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ShardworkError) as caught:
        read_record(path)
    assert str(path) in str(caught.value)
    assert "shardwork grade ch2_spark --student alice" in str(caught.value)


def test_a_wrong_value_is_named_by_its_path(course: Course) -> None:
    path = write_record(course, factories.record())
    content = json.loads(path.read_text())
    content["exercises"][1]["points"] = "many"
    path.write_text(json.dumps(content))
    with pytest.raises(ShardworkError, match=r"at `\$\.exercises\[1\]\.points`"):
        read_record(path)


def test_a_record_of_another_schema_says_which(course: Course) -> None:
    path = write_record(course, factories.record())
    path.write_text(json.dumps({"schema": "shardwork.record/99", "new": 1}))
    with pytest.raises(ShardworkError, match=r"record/99' is not 'shardwork\.record/2'"):
        read_record(path)


def test_a_record_under_another_students_name_is_refused(course: Course) -> None:
    path = write_record(course, factories.record("alice"))
    other = record_path(course, ASSIGNMENT, "bob")
    other.write_bytes(path.read_bytes())
    with pytest.raises(ShardworkError, match="holds the record of ch2_spark/alice"):
        read_record(other)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "a\\b",
        "/etc",
        "~\0",
        "a\nb",
        " a",
        "a ",
        ".hidden",
        "a\u202eb",
        "é" * 101,
        "[a]",
        "a*",
        "who?",
    ],
)
def test_a_name_that_is_no_folder_name_is_refused(name: str) -> None:
    with pytest.raises(ShardworkError, match="Student name"):
        check_student(name)


@pytest.mark.parametrize(
    "name", ["alice", "山田 太郎", "Ólafur_123_assignsubmission", "a.b@c.d", "é" * 100]
)
def test_a_name_in_any_script_is_taken(name: str) -> None:
    assert check_student(name) == name


@given(st.text(max_size=60))
def test_a_name_that_is_taken_stays_in_its_folder(name: str) -> None:
    folder = Path("/records/ch2_spark")
    try:
        check_student(name)
    except ShardworkError:
        return
    path = Path(os.path.normpath(folder / f"{name}.json"))
    assert path.parent == folder
    assert path.name == f"{name}.json"
    assert len(os.fsencode(path.name)) <= 255


def test_the_schema_of_a_record_is_the_one_that_the_documentation_describes() -> None:
    text = (Path(__file__).parents[2] / "docs" / "records.md").read_text(encoding="utf-8")
    schema = msgspec.json.schema(type(factories.record()))
    for name, definition in schema["$defs"].items():
        for field in definition.get("properties", {}):
            assert f"`{field}`" in text, f"docs/records.md does not describe {name}.{field}"
        for value in definition.get("enum", ()):
            assert f"`{value}`" in text, f"docs/records.md does not describe {name} {value}"
