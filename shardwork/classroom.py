"""A made-up class: submissions filled in from the release, right, wrong and unruly ones.

Used by the demonstration and by tests of the whole path. What a made-up student hands in is the
released notebook with a solution in it, as if it had been written in JupyterLab.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import nbformat

from shardwork.catalogue import guides
from shardwork.course import Assignment, Course
from shardwork.errors import CourseError
from shardwork.notebook import Notebook, fill, solution_cell, written_cells
from shardwork.starter import starter_notebook
from shardwork.verify import Kind, Solution, solutions_of

_STUB = "raise NotImplementedError()"
_NAMES = (
    "akiyama-sora", "baker-olivia", "chen-wei", "dogan-elif", "endo-haruka", "fischer-jonas",
    "garcia-lucia", "hayashi-ren", "ivanova-daria", "johansson-nils", "kimura-yui", "lopez-mateo",
    "mori-takumi", "nakamura-aoi", "okafor-chidi", "patel-anika", "rossi-giulia", "saito-kaito",
    "tanaka-mei", "ueda-riku", "virtanen-aino", "watanabe-hina", "xu-yichen", "yamada-sho",
)  # fmt: skip


class Pupil(msgspec.Struct, frozen=True):
    """One made-up student: what is handed in, in which language, and what must come of it.

    `text` is the whole file. `codes` are the misconceptions to be named, in the order of the
    exercises; `full` says whether all points are due.
    """

    name: str
    handed_in: str
    language: str
    text: str
    codes: tuple[str, ...] = ()
    full: bool = False


class _Answers(msgspec.Struct, frozen=True):
    """What one pupil answers, by exercise; a starter where there is nothing."""

    handed_in: str
    sources: dict[str, str]
    codes: tuple[str, ...] = ()
    full: bool = False


def make_class(course: Course, assignment: Assignment) -> list[Pupil]:
    """Return the class for an assignment: one pupil for each way to answer.

    Reference; an alternate in every exercise; starter; as many with a mutant in every exercise as
    the exercise with most of them has; a right one that is noisy on stderr; one that raises, one
    that never returns and one that kills its own process, each in the first exercise and right in
    the others; one file that is no notebook. Languages take turns. Raises CourseError if there is
    no release, or there are too many mutants.
    """
    answers = list(_answers(course, assignment))
    if len(answers) >= len(_NAMES):
        raise CourseError(f"{assignment.name}: the made-up class has only {len(_NAMES)} names.")
    pupils = []
    for index, one in enumerate(answers):
        language = course.config.languages[index % len(course.config.languages)]
        notebook = fill(starter_notebook(course, assignment.name, language), one.sources)
        if one.full:
            _answer_in_prose(course, assignment.name, language, notebook)
        text = nbformat.writes(notebook) + "\n"
        pupils.append(Pupil(_NAMES[index], one.handed_in, language, text, one.codes, one.full))
    broken = "My notebook would not save, so I copied what I had:\n\ndef answer(): ...\n"
    last = course.config.languages[0]
    return [*pupils, Pupil(_NAMES[len(pupils)], "no notebook", last, broken)]


def hand_in(course: Course, assignment: Assignment, pupils: list[Pupil]) -> int:
    """Put the class's files into `submitted/`; return how many changed."""
    changed = 0
    for pupil in pupils:
        path: Path = course.submitted / pupil.name / assignment.name / f"{assignment.name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != pupil.text:
            path.write_text(pupil.text, encoding="utf-8")
            changed += 1
    return changed


def _answer_in_prose(course: Course, assignment: str, language: str, notebook: Notebook) -> None:
    """Answer the written questions: with the model answers, so that there is something to grade."""
    texts = guides(course, assignment, language)
    for name, cell in written_cells(notebook).items():
        cell.source = texts[name].partition("\n### ")[0].strip()


def _answers(course: Course, assignment: Assignment) -> Iterator[_Answers]:
    right: dict[str, str] = {}
    alternates: dict[str, str] = {}
    mutants: dict[str, list[Solution]] = {}
    for exercise in assignment.exercises:
        solutions = solutions_of(course, assignment.name, exercise.name)
        (reference,) = (s for s in solutions if s.kind is Kind.REFERENCE)
        right[exercise.name] = reference.source
        others = [s for s in solutions if s.kind is Kind.ALTERNATE]
        alternates[exercise.name] = (others or [reference])[0].source
        mutants[exercise.name] = [s for s in solutions if s.kind is Kind.MUTANT]
    yield _Answers("reference", right, full=True)
    yield _Answers("alternates", alternates, full=True)
    yield _Answers("starter", {})
    for number in range(max(map(len, mutants.values()))):
        wrong = {name: found[number] for name, found in mutants.items() if number < len(found)}
        sources = right | {name: solution.source for name, solution in wrong.items()}
        codes = tuple(dict.fromkeys(solution.name for solution in wrong.values()))
        yield _Answers(f"mutants {number + 1}", sources, codes)
    first = assignment.exercises[0].name
    starter = solution_cell(starter_notebook(course, assignment.name, "en"), first).source
    if _STUB not in starter:
        raise CourseError(f"{assignment.name}/{first}: the starter has no line `{_STUB}`.")
    noise = (
        "import sys\nimport warnings\n\n"
        "warnings.warn('this notebook is noisy', stacklevel=1)\n"
        "print('half way there', file=sys.stderr)\n\n"
    )
    yield _Answers("right but noisy", right | {first: noise + right[first]}, full=True)
    for handed_in, code in (
        ("raises", "return {}['no such key']"),
        ("never returns", "while True:\n        pass"),
        ("kills its process", "import os, signal\n    os.kill(os.getpid(), signal.SIGKILL)"),
    ):
        yield _Answers(handed_in, right | {first: starter.replace(_STUB, code)})
