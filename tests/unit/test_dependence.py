"""Which cells of a notebook are left out when it is judged."""

from __future__ import annotations

from typing import Any

import nbformat.v4 as nbf
import pytest

from shardwork import dependence
from shardwork.dependence import needless_cells

pytestmark = pytest.mark.unit


def code(name: str, source: str, **nbgrader: Any) -> Any:
    return nbf.new_code_cell(source, id=name, metadata={"nbgrader": nbgrader} if nbgrader else {})


def example(name: str, source: str) -> Any:
    return nbf.new_code_cell(source, id=name, metadata={"tags": ["example"]})


def left_out(answer: str, *cells: Any) -> set[str]:
    setup = code("setup", "from shardwork import lab", grade_id="setup")
    test = code("test_f", 'grader.check("f")', grade=True, grade_id="test_f")
    mine = code("f", answer, solution=True, grade_id="f")
    return set(needless_cells(nbf.new_notebook(cells=[setup, *cells, mine, test])))


ROWS = example("rows", "import math\nrows = [math.pi]\nrows")
MORE = example("more", "def more(n):\n    return rows * n")
PLAIN = "def f(x):\n    import math\n    rows = [x]\n    return [rows for x in rows]"


def test_public_checks_and_examples_that_nobody_uses_are_left_out() -> None:
    assert left_out(PLAIN, ROWS, MORE) == {"rows", "more", "test_f"}


@pytest.mark.parametrize(
    "answer",
    [
        "def f(x):\n    return more(x)",
        "class F:\n    def g(self):\n        return lambda: [more for _ in ()]",
        "f = more",
        "@more\ndef f(x): ...",
        "def f(x, d=more): ...",
        "def f(x):\n    global more\n    more = x",
    ],
)
def test_an_example_runs_if_its_name_is_used_and_with_it_what_it_uses_itself(answer: str) -> None:
    assert left_out(answer, ROWS, MORE) == {"test_f"}


def test_a_name_that_the_answer_binds_itself_is_not_the_examples() -> None:
    answer = "import math\ndef more(x): return x\ndef f(x):\n    return more(math.pi)"
    assert left_out(answer, ROWS, MORE) == {"rows", "more", "test_f"}


def test_a_name_that_is_read_before_it_is_bound_may_be_the_examples() -> None:
    assert "rows" not in left_out("rows = rows + [1]\ndef f(x): return rows", ROWS)


def test_a_cell_that_a_student_added_counts_as_well() -> None:
    assert left_out(PLAIN, ROWS, code("mine", "print(rows)")) == {"test_f"}


@pytest.mark.parametrize(
    "answer",
    [
        "def f(x):\n    return globals()['rows']",
        "def f(x):\n    return eval('ro' 'ws')",
        "import sys\ndef f(x):\n    return sys.modules['__main__'].rows",
        "%matplotlib inline\ndef f(x): ...",
        "def f(x:",
        "(" * 5_000,
        "-" * 200_000 + "1",
        "x = '\ud800'",
        "\0",
    ],
)
def test_every_example_runs_where_it_cannot_be_said_what_the_answer_uses(answer: str) -> None:
    assert left_out(answer, ROWS, MORE) == {"test_f"}


def test_every_example_runs_where_there_is_too_much_to_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dependence, "MAX_CHARS", 100)
    assert left_out(PLAIN, ROWS, MORE) == {"test_f"}


def test_an_example_that_is_no_plain_python_runs() -> None:
    assert left_out(PLAIN, example("magic", "%time 1")) == {"test_f"}
