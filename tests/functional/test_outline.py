"""The tables of docs/outline.md, held against the course's configuration."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from shardwork.course import load_course
from shardwork.notebook import load_source, owner

pytestmark = pytest.mark.functional

REPOSITORY = Path(__file__).resolve().parents[2]
CHAPTERS = ("ch2_spark", "ch3_dask", "ch4_training")
TOPICS = GOALS = 5
"""Of each chapter, in the course outline."""


class Row(NamedTuple):
    """One exercise or written question, as the page has it."""

    track: str
    minutes: int
    state: str


def tables(chapter: str) -> list[list[list[str]]]:
    """Return the cells of the three tables of a chapter, without their headings."""
    text = (REPOSITORY / "docs" / "outline.md").read_text(encoding="utf-8")
    section = text.partition(f", `{chapter}`: ")[2].partition("\n## ")[0]
    found = re.findall(r"(?m)(?:^\|.*\n?)+", section)
    return [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
        for lines in (table.splitlines() for table in found)
    ]


def rows(chapter: str) -> dict[str, Row]:
    return {
        name.strip("`"): Row(track, int(minutes), state)
        for name, _, track, minutes, state in tables(chapter)[0]
    }


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_exercise_is_in_the_configuration_or_marked_as_coming(chapter: str) -> None:
    whole = load_course(REPOSITORY).whole(chapter)
    listed = rows(chapter)
    known = {e.name: Row(e.track.value, e.minutes, "") for e in whole.exercises}
    known |= {q.name: Row(q.track.value, q.minutes, "") for q in whole.written}
    assert {name: row for name, row in listed.items() if row.state != "coming"} == known
    assert len(listed) == 10 + len(whole.written)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_exercises_stand_in_the_order_of_the_chapter(chapter: str) -> None:
    listed = [name for name, row in rows(chapter).items() if row.state != "coming"]
    whole = load_course(REPOSITORY).whole(chapter)
    assert listed == [e.name for e in whole.exercises] + [q.name for q in whole.written]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_notebook_has_the_exercises_in_this_order_and_the_written_question_last(
    chapter: str,
) -> None:
    course = load_course(REPOSITORY)
    whole = course.whole(chapter)
    expected = [e.name for e in whole.exercises] + [q.name for q in whole.written]
    owners = [owner(cell) for cell in load_source(course, chapter).cells]
    found = [name for name, _ in itertools.groupby(owners) if name in expected]
    assert found == expected


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_topic_and_goal_names_exercises_and_every_exercise_serves_one(chapter: str) -> None:
    listed = set(rows(chapter))
    _, topics, goals = tables(chapter)
    assert (len(topics), len(goals)) == (TOPICS, GOALS)
    for table in (topics, goals):
        for what, served in table:
            names = re.findall(r"`(\w+)`", served)
            assert names, what
            assert set(names) <= listed, what
    served = {name for _, text in topics + goals for name in re.findall(r"`(\w+)`", text)}
    assert served == listed
