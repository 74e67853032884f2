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
from shardwork.verify import Kind, solutions_of

_STUB = "raise NotImplementedError()"
_NAMES = (
    "akiyama-sora", "baker-olivia", "chen-wei", "dogan-elif", "endo-haruka", "fischer-jonas",
    "garcia-lucia", "hayashi-ren", "ivanova-daria", "johansson-nils", "kimura-yui", "lopez-mateo",
    "mori-takumi", "nakamura-aoi", "okafor-chidi", "patel-anika", "rossi-giulia", "saito-kaito",
    "tanaka-mei", "ueda-riku", "virtanen-aino", "watanabe-hina", "xu-yichen", "yamada-sho",
)  # fmt: skip


class Pupil(msgspec.Struct, frozen=True):
    """One made-up student: what is handed in, in which language, and what must come of it.

    `text` is the whole file. `code` is the misconception to be named, or None; `full` says whether
    all points are due.
    """

    name: str
    handed_in: str
    language: str
    text: str
    code: str | None = None
    full: bool = False


def make_class(course: Course, assignment: Assignment) -> list[Pupil]:
    """Return the class for an assignment with one exercise: one pupil for each way to answer.

    Reference, one alternate, starter, every mutant; a right one that is noisy on stderr; one that
    raises, one that never returns, one that kills its own process; one file that is no notebook.
    Languages take turns. Raises CourseError if there is no release, or there are too many mutants.
    """
    answers = list(_answers(course, assignment))
    if len(answers) >= len(_NAMES):
        raise CourseError(f"{assignment.name}: the made-up class has only {len(_NAMES)} names.")
    pupils = []
    for index, (handed_in, source, code, full) in enumerate(answers):
        language = course.config.languages[index % len(course.config.languages)]
        notebook = starter_notebook(course, assignment.name, language)
        if source is not None:
            notebook = fill(notebook, {assignment.exercises[0].name: source})
        if full:
            _answer_in_prose(course, assignment.name, language, notebook)
        pupils.append(
            Pupil(_NAMES[index], handed_in, language, nbformat.writes(notebook) + "\n", code, full)
        )
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


def _answers(
    course: Course, assignment: Assignment
) -> Iterator[tuple[str, str | None, str | None, bool]]:
    """Yield (what is handed in, source or None for the release as it is, code, full points)."""
    exercise = assignment.exercises[0].name
    solutions = solutions_of(course, assignment.name, exercise)
    reference = next(s.source for s in solutions if s.kind is Kind.REFERENCE)
    yield "reference", reference, None, True
    for alternate in [s for s in solutions if s.kind is Kind.ALTERNATE][:1]:
        yield alternate.name.replace("_", " ", 1), alternate.source, None, True
    yield "starter", None, None, False
    for mutant in (s for s in solutions if s.kind is Kind.MUTANT):
        yield f"mutant {mutant.name}", mutant.source, mutant.name, False
    starter = solution_cell(starter_notebook(course, assignment.name, "en"), exercise).source
    if _STUB not in starter:
        raise CourseError(f"{assignment.name}/{exercise}: the starter has no line `{_STUB}`.")
    noise = (
        "import sys\nimport warnings\n\n"
        "warnings.warn('this notebook is noisy', stacklevel=1)\n"
        "print('half way there', file=sys.stderr)\n\n"
    )
    yield "right but noisy", noise + reference, None, True
    yield "raises", starter.replace(_STUB, "return {}['no such key']"), None, False
    yield "never returns", starter.replace(_STUB, "while True:\n        pass"), None, False
    yield (
        "kills its process",
        starter.replace(_STUB, "import os, signal\n    os.kill(os.getpid(), signal.SIGKILL)"),
        None, False,
    )  # fmt: skip
