"""A course whose two exercises are pure Python, so that judging it takes seconds.

`ch0_numbers` has `total` (4 points; `test_values` weighs 2 of 4) and `largest` (3 points). What
each answer earns is known by hand: see ANSWERS.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from shardwork.course import Course, load_course
from shardwork.notebook import fill

NAME = "ch0_numbers"
MAX_POINTS = 7.0

CONFIG = """\
course = {
    "id": "tiny",
    "title": "A tiny course",
    "languages": ["en"],
    "assignments": [
        {
            "name": "ch0_numbers",
            "title": "Numbers",
            "seed": 11,
            "exercises": [
                {"name": "total", "points": 4, "minutes": 5, "weights": {"test_values": 2}},
                {"name": "largest", "points": 3, "minutes": 5},
            ],
            "limits": {"cell_s": 20, "call_s": 3, "total_s": 120, "memory_mb": 1024},
        },
    ],
}
"""

TOTAL = '''\
def total(numbers):
    """Return the sum of a list of whole numbers."""
    ### BEGIN SOLUTION
    return sum(numbers)
    ### END SOLUTION
'''

LARGEST = '''\
def largest(numbers):
    """Return the largest of a list of whole numbers. Raises ValueError if there is none."""
    ### BEGIN SOLUTION
    return max(numbers)
    ### END SOLUTION
'''

STARTERS = {
    name: source.split("    ### BEGIN")[0] + "    # YOUR CODE HERE\n    raise NotImplementedError()"
    for name, source in (("total", TOTAL), ("largest", LARGEST))
}
"""What nbgrader makes of the two cells; `test_whole_path.py` holds it against the real thing."""

TEST_TOTAL = '''\
"""`total`."""

from shardwork.grading import OracleBank, blame


def test_values(student, rng):
    """The sum of random numbers is right."""
    numbers = [int(n) for n in rng.integers(100, 1000, size=7)]
    wrong = {"SKIPS_FIRST": sum(numbers[1:]), "SKIPS_LAST": sum(numbers[:-1]), "COUNTS": 7}
    bank = OracleBank(sum(numbers), wrong, lambda a, b: a == b)
    value = student.value("total", numbers, as_=int)
    assert bank.accepts(value), bank.explain(value, n=7)


def test_nothing(student):
    """The sum of nothing is 0."""
    value = student.value("total", [], as_=int)
    assert value == 0, blame(because="An empty list gives {value}.", value=value)


def test_negative(student):
    """A negative number is subtracted."""
    value = student.value("total", [3, -5], as_=int)
    assert value == -2, blame({-5: "SKIPS_FIRST", 3: "SKIPS_LAST", 2: "COUNTS"}.get(value))
'''

TEST_LARGEST = '''\
"""`largest`."""

from shardwork.grading import blame


def test_values(student, rng):
    """The largest of random numbers is found."""
    numbers = [int(n) for n in rng.permutation(20)]
    value = student.value("largest", numbers, as_=int)
    assert value == 19, blame("FIRST" if value == numbers[0] else None, place=numbers.index(value))


def test_negative(student):
    """Negative numbers count, too."""
    assert student.value("largest", [-3, -2, -4], as_=int) == -2, blame("FROM_ZERO")


def test_nothing(student):
    """A list without numbers is a ValueError."""
    assert "ValueError" in student.refusal("largest", []), blame("FROM_ZERO")
'''

MISCONCEPTIONS = """\
[total.SKIPS_FIRST]
cause = "The first number is left out."
pointer = "Read \\"Adding up\\" again."
cell = "ch0-lesson"

[total.SKIPS_LAST]
cause = "The last number is left out."
pointer = "Read \\"Adding up\\" again."
cell = "ch0-lesson"

[total.COUNTS]
cause = "The numbers are counted."
pointer = "Read \\"Adding up\\" again."
cell = "ch0-lesson"

[largest.FROM_ZERO]
cause = "The search begins at zero."
pointer = "Read \\"Adding up\\" again."
cell = "ch0-lesson"

[largest.FIRST]
cause = "The first number is returned."
pointer = "Read \\"Adding up\\" again."
cell = "ch0-lesson"
"""

SOLUTIONS = {
    "total/alternate_loop.py": (
        "def total(numbers):\n    s = 0\n    for n in numbers:\n        s += n\n    return s\n"
    ),
    "total/mutant_SKIPS_FIRST.py": "def total(numbers):\n    return sum(numbers[1:])\n",
    "total/mutant_SKIPS_LAST.py": "def total(numbers):\n    return sum(numbers[:-1])\n",
    "total/mutant_COUNTS.py": "def total(numbers):\n    return len(numbers)\n",
}

RIGHT = {
    "total": "def total(numbers):\n    return sum(numbers)",
    "largest": "def largest(numbers):\n    return max(numbers)",
}
FROM_ZERO = (
    "def largest(numbers):\n    best = 0\n    for n in numbers:\n        best = max(best, n)\n"
    "    return best"
)

ANSWERS: dict[str, tuple[dict[str, str], float, tuple[str, ...]]] = {
    "right": (RIGHT, 7.0, ()),
    "starter": ({}, 0.0, ()),
    # test_values (2 of 4) and test_negative (1 of 4) fail: 4 * 1/4, and all of largest
    "skips_first": (
        {**RIGHT, "total": SOLUTIONS["total/mutant_SKIPS_FIRST.py"]}, 4.0, ("SKIPS_FIRST",)
    ),
    # two of three checks of largest fail: 3 * 1/3
    "from_zero": ({**RIGHT, "largest": FROM_ZERO}, 5.0, ("FROM_ZERO",)),
}  # fmt: skip
"""By name: the sources of the solution cells, the points they earn, and the codes named."""


def make_tiny_course(root: Path, *, released: bool = True) -> Course:
    """Write the course into `root` and load it; `released` also writes a release by hand."""
    write(root / "course_config.py", CONFIG)
    write(root / "nbgrader_config.py", NBGRADER_CONFIG)
    write(root / f"source/{NAME}/{NAME}.ipynb", nbformat.writes(source_notebook()))
    for exercise, text in (("total", TEST_TOTAL), ("largest", TEST_LARGEST)):
        write(root / f"graders/{NAME}/test_{exercise}.py", text)
    write(root / f"graders/{NAME}/misconceptions.toml", MISCONCEPTIONS)
    for name, text in SOLUTIONS.items():
        write(root / f"graders/{NAME}/solutions/{name}", text)
    if released:
        write(root / f"release/en/{NAME}/{NAME}.ipynb", nbformat.writes(released_notebook()))
    return load_course(root)


NBGRADER_CONFIG = """\
from shardwork.nbgrader_bridge import configure

configure(get_config(), __file__)
"""


def source_notebook() -> NotebookNode:
    """Return the instructor's notebook."""
    notebook = nbformat.v4.new_notebook(
        cells=[
            _code("setup", "import itertools", locked=True),
            nbformat.v4.new_markdown_cell("## Adding up\n\nNumber by number.", id="ch0-lesson"),
            nbformat.v4.new_code_cell("1 + 1", id="ch0-example", metadata={"tags": ["example"]}),
            *_exercise("total", TOTAL, 4),
            *_exercise("largest", LARGEST, 3),
        ]
    )
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "shardwork": {"assignment": NAME},
        }
    )
    return notebook


def released_notebook() -> NotebookNode:
    """Return the notebook that a student begins with."""
    notebook = fill(source_notebook(), STARTERS)
    notebook.metadata.shardwork["language"] = "en"
    return notebook


def answered(sources: dict[str, str]) -> NotebookNode:
    """Return the released notebook with these solutions in it."""
    return fill(released_notebook(), sources)


def hand_in(course: Course, student: str, what: NotebookNode | str | bytes) -> Path:
    """Put a notebook, or any text, into `submitted/` as this student's; return its path."""
    path = course.submitted / student / NAME / f"{NAME}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(what, NotebookNode):
        what = nbformat.writes(what)
    path.write_bytes(what.encode() if isinstance(what, str) else what)
    return path


def hand_in_class(course: Course) -> None:
    """Hand in every one of ANSWERS, by a student of its name."""
    for student, (sources, _, _) in ANSWERS.items():
        hand_in(course, student, answered(sources))


def copy_course(course: Course, root: Path) -> Course:
    """Return a copy of a course folder as a course of its own."""
    shutil.copytree(course.root, root)
    return load_course(root)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _exercise(name: str, source: str, points: float) -> list[NotebookNode]:
    check = f'grader.check("{name}")'
    return [
        _code(name, source.rstrip("\n"), solution=True),
        _code(f"test_{name}", check, grade=True, locked=True, points=points),
    ]


def _code(grade_id: str, source: str, **marks: Any) -> NotebookNode:
    meta = {"grade": False, "locked": False, "solution": False, "task": False, **marks}
    meta |= {"grade_id": grade_id, "schema_version": 3, "cell_type": "code"}
    return nbformat.v4.new_code_cell(source, id=grade_id, metadata={"nbgrader": meta})
