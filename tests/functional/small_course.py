"""A whole course in miniature: one chapter, two exercises, English and Japanese, made in a folder.

It is small enough to be read at once, so what a release must contain is known by hand.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import nbformat

from shardwork.course import Course, load_course

CONFIG = """\
course = {
    "id": "small",
    "title": "A small course",
    "languages": ["en", "ja"],
    "assignments": [
        {
            "name": "ch0_lists",
            "title": "Lists",
            "due": "2027-01-15T23:59:59+09:00",
            "exercises": [
                {"name": "halves", "points": 2, "minutes": 5},
                {"name": "runs", "points": 3, "minutes": 5},
            ],
        },
    ],
}
"""

LESSON = """\
## Cutting a list

A list is cut at an index.
The two parts share nothing.

```python
letters = list("abcd")

first = letters[0]
```

- An empty list has two empty halves.
"""

HALVES = '''\
def halves(items):
    """Return the two halves of a list.

    items: (n,) any values; the first half has the odd one.
    Raises TypeError if `items` is no list.
    """
    ### BEGIN SOLUTION
    if not isinstance(items, list):
        raise TypeError("a list is needed")
    middle = (len(items) + 1) // 2
    return items[:middle], items[middle:]
    ### END SOLUTION
'''

RUNS = '''\
def runs(items):
    """Return the lengths of runs of equal values."""
    ### BEGIN SOLUTION
    lengths = []
    for value, group in itertools.groupby(items):
        lengths.append(sum(1 for _ in group))
    return lengths
    ### END SOLUTION
'''

PUBLIC_CHECK = """\
from otter.test_files import test_case

OK_FORMAT = False
name = "halves"
points = None


@test_case(
    points=1,
    success_message="Both parts are there.",
    failure_message="A part is missing.",
)
def test_two_parts(halves):
    parts = halves([1, 2, 3])
    assert isinstance(parts, tuple), "Return a tuple."
    assert len(parts) == 2, f"There are {len(parts)} parts, not two."
"""

GRADER = '''\
"""Hidden."""


def test_every_value_is_in_one_half(student, random):
    """Every value is in
    one of the halves.

    For the author only.
    """
    items = [random.randrange(1000) for _ in range(37)]
    left, right = student.halves(items)
    assert sorted(left.value + right.value) == sorted(items)
    middle = student.halves([271828182, 314159265])[0].value
    assert middle == [271828182], blame(because="" if middle else "The first half is empty.")
'''

ALTERNATE = '''\
from itertools import accumulate, chain, groupby, islice


def halves(items):
    """Return the two halves of a list."""
    if type(items) is not list:
        raise TypeError(items)
    cut = len(items) - len(items) // 2
    return tuple([items[position] for position in part] for part in (range(cut), range(cut, len(items))))
'''  # noqa: E501 - a student's line

MUTANT = """\
def halves(items):
    middle_of_items = len(items) // 2
    return items[slice(None, middle_of_items)], items[slice(middle_of_items, len(items))]
"""

MISCONCEPTIONS = """\
[halves.ODD_ONE_RIGHT]
cause = "The odd value goes to the right half."
pointer = "See the heading Cutting a list."
cell = "ch0-lesson"
"""

JAPANESE = {
    "## Cutting a list": "## リストを切る",
    "A list is cut at an index.\nThe two parts share nothing.": "リストは添字で切ります。",
    "- An empty list has two empty halves.": "- 空リストの半分は、どちらも空です。",
    "Return the two halves of a list.\n\nitems: (n,) any values; the first half has the odd one.\n"
    "Raises TypeError if `items` is no list.": "リストの前半と後半を返します。\n\n"
    "items: (n,) 任意の値。奇数個のときは前半が1つ多くなります。",
    "Both parts are there.": "両方そろっています。",
    "There are {len(parts)} parts, not two.": "2つではなく {len(parts)} 個あります。",
}
"""What the Japanese catalogue has. Missing: see MISSING."""

MISSING = {
    "Return the lengths of runs of equal values.",
    "A part is missing.",
    "Return a tuple.",
    "Every value is in one of the halves.",
    "The first half is empty.",
    "The odd value goes to the right half.",
    "See the heading Cutting a list.",
}


def make_small_course(root: Path) -> Course:
    """Write the course into `root` and load it."""
    root.mkdir(parents=True, exist_ok=True)
    write(root / "course_config.py", CONFIG)
    write_notebook(root / "source/ch0_lists/ch0_lists.ipynb", source_notebook())
    write(root / "source/ch0_lists/tests/halves.py", PUBLIC_CHECK)
    write(root / "source/ch0_lists/data/table.csv", "a,b\n1,2\n")
    write(root / "graders/ch0_lists/test_halves.py", GRADER)
    write(root / "graders/ch0_lists/misconceptions.toml", MISCONCEPTIONS)
    write(root / "graders/ch0_lists/solutions/halves/alternate_ranges.py", ALTERNATE)
    write(root / "graders/ch0_lists/solutions/halves/mutant_ODD_ONE_RIGHT.py", MUTANT)
    write(root / "locale/ja/LC_MESSAGES/ch0_lists.po", po_text(JAPANESE))
    return load_course(root)


def source_notebook() -> nbformat.NotebookNode:
    """Return the chapter's source notebook."""
    nb = nbformat.v4.new_notebook(
        cells=[
            code_cell(
                "setup",
                'import itertools\n\nimport otter\n\ngrader = otter.Notebook(tests_dir="tests")',
                {"grade": False, "locked": True, "solution": False},
            ),
            nbformat.v4.new_markdown_cell(LESSON.rstrip("\n"), id="ch0-lesson"),
            nbformat.v4.new_code_cell(
                "words = ['a', 'b', 'c']\nwords[:2], words[2:]",
                id="ch0-example",
                metadata={"tags": ["example"]},
            ),
            *exercise_cells("halves", HALVES, 2),
            *exercise_cells("runs", RUNS, 3),
        ]
    )
    nb.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "shardwork": {"assignment": "ch0_lists"},
        }
    )
    return nb


def exercise_cells(name: str, source: str, points: float) -> list[nbformat.NotebookNode]:
    return [
        code_cell(name, source.rstrip("\n"), {"grade": False, "locked": False, "solution": True}),
        code_cell(
            f"test_{name}",
            f'grader.check("{name}")',
            {"grade": True, "locked": True, "solution": False, "points": points},
        ),
    ]


def code_cell(grade_id: str, source: str, meta: dict[str, Any]) -> nbformat.NotebookNode:
    common = {"schema_version": 3, "task": False, "cell_type": "code", "grade_id": grade_id}
    return nbformat.v4.new_code_cell(
        source, id=grade_id, metadata={"nbgrader": nbformat.from_dict({**common, **meta})}
    )


def po_text(messages: dict[str, str]) -> str:
    """Write a catalogue, independently of the code under test."""
    header = dedent("""\
        msgid ""
        msgstr ""
        "Language: ja\\n"
        "Content-Type: text/plain; charset=UTF-8\\n"
        """)
    entries = [
        f"msgid {_quoted(msgid)}\nmsgstr {_quoted(text)}\n" for msgid, text in messages.items()
    ]
    return "\n".join([header, *entries])


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_notebook(path: Path, nb: nbformat.NotebookNode) -> None:
    write(path, nbformat.writes(nb) + "\n")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
