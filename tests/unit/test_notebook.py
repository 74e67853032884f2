"""Source notebooks: what counts as right, and what each deviation is told."""

from __future__ import annotations

import ast
import copy
import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from shardwork import notebook
from shardwork.course import load_course
from shardwork.errors import CourseError
from shardwork.notebook import Role
from tests.functional.small_course import (
    make_small_course,
    source_notebook,
    write,
    write_notebook,
)

pytestmark = pytest.mark.unit


@pytest.fixture
def course(tmp_path: Path):
    return make_small_course(tmp_path / "course")


@pytest.fixture
def assignment(course):
    return course.assignment("ch0_lists")


def cell(nb: nbformat.NotebookNode, cell_id: str) -> nbformat.NotebookNode:
    return next(c for c in nb.cells if c.id == cell_id)


def test_a_right_source_notebook_has_no_problems(assignment):
    assert notebook.problems(source_notebook(), assignment) == []


def test_each_cell_has_the_role_that_its_metadata_say():
    roles = {c.id: notebook.role(c) for c in source_notebook().cells}
    assert roles == {
        "setup": Role.SETUP,
        "ch0-lesson": Role.LESSON,
        "ch0-example": Role.EXAMPLE,
        "halves": Role.SOLUTION,
        "test_halves": Role.TEST,
        "runs": Role.SOLUTION,
        "test_runs": Role.TEST,
    }


def test_a_written_question_is_neither_lesson_nor_exercise():
    question = nbformat.v4.new_markdown_cell("Why?", metadata={"nbgrader": {"grade": True}})
    assert notebook.role(question) is Role.OTHER


def test_the_reference_is_the_solution_cell_without_its_markers():
    reference = notebook.reference(source_notebook(), "runs")
    namespace: dict[str, Any] = {}
    exec("import itertools\n" + reference, namespace)
    assert namespace["runs"]("aabccc") == [2, 1, 3]  # counted by hand
    assert "SOLUTION" not in reference


def test_the_starter_keeps_signature_and_docstring_and_nothing_of_the_solution():
    starter = notebook.starter_source(cell(source_notebook(), "runs").source)
    assert starter == (
        "def runs(items):\n"
        '    """Return the lengths of runs of equal values."""\n'
        "    # YOUR CODE HERE\n"
        "    raise NotImplementedError()"
    )


def test_the_solution_region_is_what_stands_between_the_markers():
    source = "def f():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION\n"
    assert notebook.solution_region(source) == "    return 1"
    assert notebook.regions(source) == [range(2, 3)]
    assert notebook.solution_region("no region") == ""


def test_a_cell_may_have_a_region_in_each_of_its_functions():
    one = "def {name}():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION\n"
    source = one.format(name="f") + one.format(name="g")
    assert notebook.regions(source) == [range(2, 3), range(6, 7)]
    assert notebook.solution_region(source) == "    return 1\n    return 1"
    assert notebook.starter_source(source).count("raise NotImplementedError()") == 2


@pytest.mark.parametrize("markers", ["BBEE", "B", "E", "EB", "BEE", ""])
def test_markers_that_do_not_pair_up_make_no_region(markers):
    words = {"B": "### BEGIN SOLUTION", "E": "### END SOLUTION"}
    assert notebook.regions("\n".join(words[marker] for marker in markers)) == []


def test_filling_in_replaces_the_source_named_and_leaves_the_original_alone():
    nb = source_notebook()
    before = copy.deepcopy(nb)
    filled = notebook.fill(nb, {"halves": "def halves(items): ..."})
    assert cell(filled, "halves").source == "def halves(items): ..."
    assert cell(filled, "runs") == cell(before, "runs")
    assert nb == before


def test_filling_in_an_unknown_exercise_names_those_there_are():
    with pytest.raises(CourseError, match=r"no exercise 'half'; it has: halves, runs"):
        notebook.fill(source_notebook(), {"half": ""})


def drop(cell_id: str):
    def change(nb):
        nb.cells = [c for c in nb.cells if c.id != cell_id]

    return change


def with_meta(cell_id: str, key: str, value: Any):
    def change(nb):
        cell(nb, cell_id).metadata.nbgrader[key] = value

    return change


def with_source(cell_id: str, source: str):
    def change(nb):
        cell(nb, cell_id).source = source

    return change


def keep_an_output(nb):
    cell(nb, "ch0-example").outputs = [nbformat.v4.new_output("stream", text="3")]


def keep_a_count(nb):
    cell(nb, "ch0-example").execution_count = 3


def rename_the_solution(nb):
    cell(nb, "halves").metadata.nbgrader["grade_id"] = "half"


def forget_the_solution_metadata(nb):
    del cell(nb, "halves").metadata["nbgrader"]


def name_another_assignment(nb):
    nb.metadata.shardwork.assignment = "ch9"


def use_another_kernel(nb):
    nb.metadata.kernelspec.name = "ir"


WITHOUT_DOCSTRING = "def runs(items):\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION"
HIDDEN_DOCSTRING = (
    'def runs(items):\n    ### BEGIN SOLUTION\n    """Text."""\n    return 1\n    ### END SOLUTION'
)
MARK, TEXT = "    ### BEGIN SOLUTION\n", '    """Text."""\n'
BEFORE_IT = (
    'class Part:\n    """Text."""\n    ### BEGIN SOLUTION\n    size = 1\n    ### END SOLUTION\n'
)
OTHER_NAME = 'def run():\n    """Text."""\n    ### BEGIN SOLUTION\n    pass\n    ### END SOLUTION'
BROKEN = 'def runs():\n    """Text."""\n    ### BEGIN SOLUTION\n    return (\n    ### END SOLUTION'


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("runs"), "exercise 'runs' has no solution cell"),
        (drop("test_runs"), "exercise 'runs' has no test cell"),
        (drop("setup"), "there is no set-up cell"),
        (
            with_meta("test_runs", "points", 4),
            "gives 4 points, and course_config.py gives 'runs' 3",
        ),
        (with_meta("test_runs", "locked", False), "nbgrader locked False; set it to True"),
        (with_meta("runs", "locked", True), "nbgrader locked True; set it to False"),
        (with_meta("runs", "schema_version", 2), "nbgrader schema_version 2; set it to 3"),
        (with_meta("setup", "locked", False), "'setup' has nbgrader locked False"),
        (with_source("test_runs", "grader.check('halves')"), 'must say grader.check("runs")'),
        (with_source("runs", "def runs(): ..."), "has 0 line(s) with BEGIN SOLUTION"),
        (with_source("runs", WITHOUT_DOCSTRING), "'runs' has no docstring"),
        (with_source("runs", HIDDEN_DOCSTRING), "the docstring stands in the solution region"),
        (
            with_source("runs", BEFORE_IT + HIDDEN_DOCSTRING),
            "the docstring stands in the solution region",
        ),
        (with_source("runs", OTHER_NAME), "defines no function or class 'runs'"),
        (with_source("runs", BROKEN), "line 3 of the reference: '(' was never closed"),
        (with_source("ch0-lesson", "### BEGIN SOLUTION"), "'ch0-lesson' has a solution marker"),
        (keep_an_output, "'ch0-example' keeps what it printed"),
        (keep_a_count, "'ch0-example' keeps what it printed"),
        (rename_the_solution, "nbgrader grade_id 'half'; set it to 'halves'"),
        (forget_the_solution_metadata, "'halves' is not marked as a solution"),
        (name_another_assignment, "shardwork.assignment is 'ch9'; set it to 'ch0_lists'"),
        (use_another_kernel, "kernelspec.name is 'ir'; set it to 'python3'"),
        (with_source("ch0-example", "def halves(x): ..."), "'ch0-example' binds 'halves'"),
        (with_source("setup", "from math import floor as runs"), "'setup' binds 'runs'"),
    ],
)
def test_a_deviation_is_named_with_the_next_step(assignment, change, message):
    nb = source_notebook()
    change(nb)
    found = notebook.problems(nb, assignment)
    assert any(message in problem for problem in found), found


def test_another_definition_with_a_region_may_stand_before_the_exercise(assignment):
    nb = source_notebook()
    with_source("runs", BEFORE_IT + HIDDEN_DOCSTRING.replace(MARK + TEXT, TEXT + MARK))(nb)
    assert notebook.problems(nb, assignment) == []


def test_loading_reports_every_problem_at_once(course):
    nb = source_notebook()
    drop("setup")(nb)
    keep_a_count(nb)
    write_notebook(course.source_notebook("ch0_lists"), nb)
    with pytest.raises(CourseError) as raised:
        notebook.load_source(course, "ch0_lists")
    assert "ch0_lists.ipynb" in str(raised.value)
    assert "there is no set-up cell" in str(raised.value)
    assert "keeps what it printed" in str(raised.value)


def test_an_exercise_of_the_notebook_that_the_configuration_lacks_is_named(course):
    config = course.root / "course_config.py"
    line = '{"name": "runs", "points": 3, "minutes": 5},'
    assert line in config.read_text()
    write(config, config.read_text().replace(line, ""))
    with pytest.raises(CourseError, match="'runs' is a solution cell of no exercise"):
        notebook.load_source(load_course(course.root), "ch0_lists")


def break_json(nb: dict[str, Any]) -> str:
    return json.dumps(nb)[:-1]


def lower_minor(nb: dict[str, Any]) -> str:
    return json.dumps({**nb, "nbformat_minor": 4})


def repeat_a_cell(nb: dict[str, Any]) -> str:
    return json.dumps({**nb, "cells": [*nb["cells"], nb["cells"][1]]})


def take_an_id(nb: dict[str, Any]) -> str:
    del nb["cells"][2]["id"]
    return json.dumps(nb)


def break_the_schema(nb: dict[str, Any]) -> str:
    nb["cells"][2]["outputs"] = "none"
    return json.dumps(nb)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_json, "no JSON"),
        (lower_minor, r"no notebook of format 4\.5 \(found \(4, 4\)\)"),
        (lambda _: "[]", "no notebook of format 4.5"),
        (lambda nb: json.dumps({**nb, "cells": 3}), "no valid notebook"),
        (repeat_a_cell, "'ch0-lesson' stands 2 times"),
        (take_an_id, "cell number 3 has no id"),
        (break_the_schema, "no valid notebook"),
    ],
)
def test_a_file_that_is_no_notebook_is_refused_by_name(tmp_path, damage, message):
    path = tmp_path / "ch0.ipynb"
    path.write_text(damage(json.loads(nbformat.writes(source_notebook()))))
    with pytest.raises(CourseError, match=message) as raised:
        notebook.read_notebook(path)
    assert str(path) in str(raised.value)


def test_a_missing_notebook_is_named(tmp_path):
    with pytest.raises(CourseError, match=r"ch0\.ipynb does not exist"):
        notebook.read_notebook(tmp_path / "ch0.ipynb")


def test_the_starter_is_valid_python_that_defines_the_exercise():
    for name in ("halves", "runs"):
        tree = ast.parse(notebook.starter_source(cell(source_notebook(), name).source))
        assert isinstance(tree.body[0], ast.FunctionDef)
        assert tree.body[0].name == name
