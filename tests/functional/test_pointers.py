"""Where a misconception sends a student: the cells and headings that it names are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shardwork.catalogue import load_catalogue, translate_notebook
from shardwork.course import load_course
from shardwork.misconceptions import load_misconceptions
from shardwork.notebook import load_source

pytestmark = pytest.mark.functional

COURSE = load_course(Path(__file__).resolve().parents[2])
QUOTES = ('""', "“”", "「」")
QUOTED = re.compile("|".join(f"{begin}(.+?){end}" for begin, end in QUOTES[:2]))
HEADING = re.compile(r"(?m)^#{2,4} +(.+?) *$")


def plain(text: str) -> str:
    return text.replace("`", "").strip()


def quotes(text: str, heading: str) -> bool:
    return any(begin + heading + end in plain(text) for begin, end in QUOTES)


@pytest.mark.parametrize("language", COURSE.config.languages)
@pytest.mark.parametrize("assignment", [one.name for one in COURSE.config.assignments])
def test_a_pointer_quotes_a_heading_of_the_cell_that_it_names(
    assignment: str, language: str
) -> None:
    catalogue = load_catalogue(COURSE, language, assignment)
    notebook = translate_notebook(load_source(COURSE, assignment), catalogue)
    headings = {c.id: {plain(h) for h in HEADING.findall(c.source)} for c in notebook.cells}
    everywhere = set().union(*headings.values())
    wrong = []
    for exercise, codes in load_misconceptions(COURSE, assignment).items():
        for code, one in codes.items():
            pointer = catalogue.gettext(one.pointer)
            here = headings.get(one.cell, set())
            if not any(quotes(pointer, heading) for heading in here):
                wrong.append(f"{exercise}.{code}: {one.cell} has {sorted(here)}: {pointer}")
            named = {plain("".join(groups)) for groups in QUOTED.findall(pointer)}
            wrong += [f"{exercise}.{code}: no heading {h!r}" for h in named - everywhere]
    assert wrong == []
