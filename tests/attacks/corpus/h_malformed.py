"""H: malformed notebooks. To be refused with a reason is right; to be graded as written is, too."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.attacks.corpus.d_kill import ungraded
from tests.attacks.course import POINTS, RIGHT, WRONG
from tests.attacks.kit import Attack, Submission, Win
from tests.attacks.scene import Scene, Seen

BROKEN = {Win.BATCH, Win.STALL, Win.RES}
SLOW_S = 20.0
"""Wall seconds that a file which is refused may take, on a busy machine too."""
_LIMIT = 8 << 20
"""What a notebook may be in bytes; the largest bombs stay below it, and so are parsed."""


def whole(seen: Seen) -> list[tuple[Win, str]]:
    """Find an exercise that is missing from the record or the gradebook, or has other points."""
    found = ungraded(seen)
    record = seen.record
    if record is None or record.status == "refused":
        return found
    expected = {name: float(points) for name, points in POINTS[seen.attack.assignment].items()}
    if {e.name: e.max_points for e in record.exercises} != expected:
        found.append((Win.SCORE, "the record has other exercises or other points"))
    rows = seen.batch.query(
        "SELECT b.name, gc.max_score FROM grade_cells gc JOIN base_cell b ON b.id = gc.id "
        "JOIN notebook n ON n.id = b.notebook_id WHERE n.name = ?", seen.attack.assignment,
    )  # fmt: skip
    entered = {str(name).removeprefix("test_"): points for name, points in rows}
    if any(entered.get(name) != points for name, points in expected.items()):
        found.append((Win.SCORE, f"the gradebook has other points: {entered}"))
    return found


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], None]:
    """Apply `change` to every cell that has marks of nbgrader."""

    def edit(notebook: dict[str, Any]) -> None:
        for cell in notebook["cells"]:
            if "nbgrader" in cell["metadata"]:
                change(cell)

    return edit


def _marks(**values: object) -> Callable[[dict[str, Any]], None]:
    return edited(lambda cell: cell["metadata"]["nbgrader"].update(values))


def _points(value: object) -> Callable[[dict[str, Any]], None]:
    def change(cell: dict[str, Any]) -> None:
        if "points" in cell["metadata"]["nbgrader"]:
            cell["metadata"]["nbgrader"]["points"] = value

    return edited(change)


def _swapped(notebook: dict[str, Any]) -> None:
    """Give every cell the grade id and the id of the next one of its kind."""
    for kind in ("solution", "grade"):
        cells = [c for c in notebook["cells"] if c["metadata"].get("nbgrader", {}).get(kind)]
        names = [c["metadata"]["nbgrader"]["grade_id"] for c in cells]
        for cell, name in zip(cells, names[1:] + names[:1], strict=True):
            cell["metadata"]["nbgrader"]["grade_id"] = cell["id"] = name


def _retyped(kind: str) -> Callable[[dict[str, Any]], None]:
    def change(cell: dict[str, Any]) -> None:
        if cell["metadata"]["nbgrader"]["grade"]:
            cell["cell_type"] = kind
            cell.pop("outputs", None)
            cell.pop("execution_count", None)

    return edited(change)


def _without_marks(cell: dict[str, Any]) -> None:
    del cell["metadata"]["nbgrader"]


def _renamed(cell: dict[str, Any]) -> None:
    cell["id"] = cell["metadata"]["nbgrader"]["grade_id"] = "../../" + cell["id"]


def _all_called_product(cell: dict[str, Any]) -> None:
    cell["id"] = cell["metadata"]["nbgrader"]["grade_id"] = "product"


def _deleted_tests(notebook: dict[str, Any]) -> None:
    notebook["cells"] = [
        c for c in notebook["cells"] if not c["metadata"].get("nbgrader", {}).get("grade")
    ]


def _document(**more: object) -> dict[str, object]:
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [], **more}


def _cell(source: object = "", **more: object) -> dict[str, object]:
    return {
        "cell_type": "code", "id": "product", "source": source, "outputs": [],
        "execution_count": None, "metadata": {}, **more,
    }  # fmt: skip


def _json(document: object) -> bytes:
    return json.dumps(document).encode()


def _nest(depth: int, opening: bytes = b"[", closing: bytes = b"]", inner: bytes = b"") -> bytes:
    return opening * depth + inner + closing * depth


def _around(name: str, value: bytes) -> bytes:
    """Return a notebook with one answer, and a value in its metadata and as another key."""
    cell = _json(_cell(WRONG["product"]))
    return (
        b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {"x": %s}, "cells": [%s], "%s": %s}'
        % (value, cell, name.encode(), value)
    )


def _raw(id_: str, title: str, data: bytes, **more: object) -> Attack:
    fields: dict[str, object] = {"wins": BROKEN, "detect": ungraded, "budget_s": SLOW_S + 100}
    return Attack(id=id_, title=title, submission=Submission(raw=data), **fields | more)  # type: ignore[arg-type]


def _edit(id_: str, title: str, edit: Callable[[dict[str, Any]], object], **more: object) -> Attack:
    fields: dict[str, object] = {"wins": {Win.SCORE, Win.BATCH}, "detect": whole}
    return Attack(
        id=id_, title=title, submission=Submission(edit=edit),  # type: ignore[arg-type]
        **fields | more,  # type: ignore[arg-type]
    )  # fmt: skip


def _answer(id_: str, title: str, source: str, **more: object) -> Attack:
    """Return an attack whose `product` cell is `source`: for whoever parses a student's code."""
    fields: dict[str, object] = {"wins": BROKEN, "detect": ungraded}
    return Attack(id=id_, title=title, submission=Submission({"product": source}), **fields | more)  # type: ignore[arg-type]


def _replaced(make: Callable[[Path, Scene], object]) -> Submission:
    """Put something else in the place of the notebook."""

    def prepare(folder: Path, scene: Scene) -> None:
        path = folder / "plain.ipynb"
        path.unlink()
        make(path, scene)

    return Submission(prepare=prepare)


def _beside(name: str, make: Callable[[Path], object]) -> Submission:
    return Submission(prepare=lambda folder, scene: make(folder / name))  # type: ignore[arg-type,return-value]


def _socket(path: Path) -> None:
    made = socket.socket(socket.AF_UNIX)
    folder = Path.cwd()
    os.chdir(path.parent)  # a socket's path may hold 107 characters
    made.bind(path.name)
    os.chdir(folder)
    made.close()


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 27)


def _special(id_: str, title: str, submission: Submission, **more: object) -> Attack:
    fields: dict[str, object] = {
        "wins": {*BROKEN, Win.PROOF, Win.ESC}, "detect": ungraded, "budget_s": SLOW_S + 100
    }  # fmt: skip
    return Attack(id=id_, title=title, submission=submission, **fields | more)  # type: ignore[arg-type]


_GOOD = _json(_document(cells=[_cell(WRONG["product"])]))
_PARENTHESES = "def product(n):\n    return " + "(" * 10_000 + "1" + ")" * 10_000
_SUM = "def product(n):\n    return " + "+".join(["1"] * 99_000)
_LITERAL = "def product(n):\n    return " + "7" * 190_000
_HUGE_LITERAL = "def product(n):\n    return '" + "x" * (4 << 20) + "'"
_DEEP_BLOCKS = "\n".join(" " * n + "if 1:" for n in range(95)) + "\n" + " " * 95 + "pass"
_DEEP_LAMBDA = "f = " + "lambda: " * 20_000 + "1"
_F_STRING = "x = " + "f'{" * 200 + "1" + "}'" * 200
_COMPREHENSION = "x = " + "[a for a in " * 300 + "[1]" + "]" * 300
_DECORATED = "@(lambda f: f)\n" * 12_000 + "def product(n):\n    return 0"
_MANY_NAMES = "\n".join(f"v{n} = {n}" for n in range(14_000))

ATTACKS = [
    _raw("H01", "an empty file", b""),
    _raw("H01b", "a notebook that was cut", _GOOD[:-40]),
    _raw("H01c", "no JSON", b"print('hello')\n" * 100),
    _raw("H01d", "a byte order mark before a notebook", b"\xef\xbb\xbf" + _GOOD),
    _raw("H01e", "UTF-16", _GOOD.decode().encode("utf-16")),
    _raw("H01f", "NUL bytes", bytes(100_000)),
    _raw("H01g", "bytes of no encoding", b"\xff\xfe\x00\xd8" + os.urandom(1000)),
    _raw("H01h", "a number that is too large for any float",
         _around("y", b"[1e999999, -1e400, NaN, Infinity, 0." + b"0" * 10_000 + b"1]")),
    _raw("H01i", "an int of 10^6 digits", _around("y", b"9" * 1_000_000)),
    _raw("H01j", "halves of surrogate pairs", _json(_document(
        cells=[_cell('print("\\ud800")\nx = "\ud800\udfff"\n' + WRONG["product"])]))),
    _raw("H01k", "NUL and control characters in a source", _json(_document(
        cells=[_cell("x = 1\0\x1b[31m\u202e\n" + WRONG["product"])]))),
    *(
        _raw(f"H02{letter}", f"the notebook is {data[:12].decode()}", data, sample=not letter)
        for letter, data in (("", b"[]"), ("b", b"7"), ("c", b"null"), ("d", b'"text"'),
                             ("e", b"true"), ("f", b"{}"), ("g", b"[{}]"),
                             ("h", _json(_document(cells={"a": 1}))),
                             ("i", _json(_document(cells=[None, 1, "x", [], {}]))),
                             ("j", _json({"cells": []})))
    ),
    _raw("H03", "notebook format 3, with worksheets", _json(
        {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [
            {"cells": [{"cell_type": "code", "input": RIGHT["product"], "language": "python"}]}]}),
        wins={*BROKEN, Win.SCORE}),
    _raw("H03b", "notebook format 9", _json(_document(nbformat=9, cells=[_cell()]))),
    _raw("H03c", "notebook format of wild types", _json(_document(nbformat="4", cells=[_cell()]))),
    _raw("H03d", "notebook format 4.0e0 and keys that stand twice",
         b'{"nbformat": 4.0e0, "cells": [], "nbformat": 4, "metadata": {}, "metadata": [], '
         b'"cells": [%s], "cells": [%s]}' % (_json(_cell(WRONG["product"])), _json(_cell("x")))),
    _raw("H04", "JSON 10^5 deep", _nest(100_000), sample=True),
    _raw("H04b", "metadata 10^5 deep", _around("y", _nest(100_000))),
    _raw("H04c", "objects 10^6 deep, never closed", b'{"a":' * 1_000_000),
    _raw("H04d", "a source 10^5 deep", _json(_document(cells=[_cell("@")])).replace(
        b'"@"', _nest(100_000))),
    _raw("H04e", "outputs 9,000 deep", _json(_document(cells=[_cell("1", outputs="@")])).replace(
        b'"@"', _nest(9_000, b'[{"a":', b"}]", b"1"))),
    _special("H05", "a notebook of 128 MB", _replaced(lambda path, scene: _sparse(path))),
    _raw("H05b", "10^6 cells", b'{"nbformat":4,"metadata":{},"cells":[' + b"{}," * 1_000_000
         + b"{}]}"),
    _raw("H05c", "10^5 keys of metadata", _around(
        "y", _json({f"k{n}": n for n in range(100_000)}))),
    _raw("H05d", "8 MB of empty lists", _around("y", b"[" + b"[]," * 1_300_000 + b"[]]")),
    _raw("H05e", "a source that is a list of 10^6 lines", _json(_document(
        cells=[_cell(["\n"] * 1_000_000)]))),
    _raw("H05f", "a source of 7 MB", _json(_document(cells=[_cell("x" * (7 << 20))]))),
    _raw("H05g", "199 added cells of 39,000 characters", _json(_document(
        cells=[_cell(WRONG["product"]), *(_cell("#" + "x" * 39_000, id=f"a{n}")
                                          for n in range(199))]))),
    _raw("H05h", "attachments and outputs of 7 MB", _json(_document(cells=[_cell(
        WRONG["product"], outputs=[{"output_type": "display_data", "metadata": {},
                                    "data": {"image/png": "A" * (7 << 20)}}],
        attachments={"x": {"image/png": "A"}})]))),
    _raw("H05i", "2,000 cells whose names are like an exercise's", _json(_document(
        cells=[_cell(WRONG["ordered"], id="ordered"), *(
            _cell("", id=f"produc{'t' * (n % 90)}{n}") for n in range(1999))]))),
    _raw("H05j", "text that is all escapes", _json(_document(
        cells=[_cell("#" + "\u0001\ud83d\ude00" * 90_000)]))),
    _edit("H09", "test cells become markdown", _retyped("markdown")),
    _edit("H09b", "test cells become raw", _retyped("raw")),
    _edit("H09c", "test cells are deleted", _deleted_tests),
    _edit("H09d", "test cells of a kind that nobody knows", _retyped("heading")),
    *(
        _edit(f"H10{letter}", f"points are {value!r}", _points(value))
        for letter, value in (("", 1e6), ("b", -5), ("c", "5"), ("d", [5]), ("e", True),
                              ("f", float("nan")), ("g", float("inf")), ("h", 10 ** 400))
    ),
    _edit("H11", "test cells are said not to be graded", _marks(grade=False)),
    _edit("H11b", "everything is said to be a task", _marks(task=True, grade=False)),
    _edit("H11c", "everything is said to be a solution", _marks(solution=True, grade=True)),
    _edit("H12", "grade ids are removed", edited(_without_marks)),
    _edit("H12b", "grade ids are unknown paths", edited(_renamed)),
    _edit("H12c", "every cell has another one's grade id", _swapped, sample=True),
    _edit("H12d", "grade ids are not texts", _marks(grade_id={"a": ["product"]})),
    _edit("H12e", "the notebook says that it is another assignment's",
          lambda notebook: notebook["metadata"].update(shardwork={"assignment": "spark"})),
    _edit("H12f", "the notebook names a language that is a path",
          lambda notebook: notebook["metadata"].update(
              shardwork={"assignment": "plain", "language": "../../../source"})),
    _edit("H12g", "the notebook names a kernel of its own",
          lambda notebook: notebook["metadata"].update(kernelspec={
              "name": "bash", "argv": ["touch", "@ESC_FILE@"], "language": "bash"}),
          wins={Win.ESC, Win.BATCH}),
    _edit("H13", "all cells have one grade id", edited(_all_called_product)),
    _edit("H13b", "all cells have one id",
          lambda notebook: [cell.update(id="same") for cell in notebook["cells"]]),
    _special("H22", "a pipe in place of the notebook",
             _replaced(lambda path, scene: os.mkfifo(path)), sample=True),
    _special("H22b", "a pipe called timestamp.txt",
             _beside("timestamp.txt", os.mkfifo)),
    _special("H22c", "a socket in place of the notebook",
             _replaced(lambda path, scene: _socket(path))),
    _special("H22d", "a folder in place of the notebook",
             _replaced(lambda path, scene: path.mkdir())),
    _special("H22e", "a link to an endless device",
             _replaced(lambda path, scene: path.symlink_to("/dev/zero"))),
    _special("H22f", "a device in place of the notebook", _replaced(
        lambda path, scene: os.mknod(path, 0o020666, os.makedev(1, 5))), needs=("root",)),
    _special("H22g", "timestamp.txt is a link to a device",
             _beside("timestamp.txt", lambda path: path.symlink_to("/dev/zero"))),
    _special("H22h", "timestamp.txt is 16 MB", Submission(
        files={"timestamp.txt": b"9" * (16 << 20)})),
    _special("H22i", "a link that leads to itself",
             _replaced(lambda path, scene: path.symlink_to(path.name))),
    _special("H22j", "timestamp.txt is a socket", _beside("timestamp.txt", _socket)),
    _special("H22k", "a pipe called as the autograded notebook's byproducts are", Submission(
        prepare=lambda folder, scene: [os.mkfifo(folder / name) for name in (
            "plain.html", ".OTTER_LOG", "custom.css", "feedback.html")])),  # type: ignore[arg-type,return-value]
    _answer("H25", "10^4 nested parentheses", _PARENTHESES),
    _answer("H25b", "a sum of 99,000 terms", _SUM),
    _answer("H25c", "an int of 190,000 digits", _LITERAL),
    _answer("H25d", "a literal of 4 MB", _HUGE_LITERAL),
    _answer("H25e", "blocks 95 deep", _DEEP_BLOCKS),
    _answer("H25f", "20,000 nested functions", _DEEP_LAMBDA),
    _answer("H25g", "nested f-strings and comprehensions", f"{_F_STRING}\n{_COMPREHENSION}"),
    _answer("H25h", "12,000 decorators and 14,000 names", f"{_DECORATED}\n"),
    _answer("H25i", "14,000 names", _MANY_NAMES),
    _answer("H25j", "a magic command that never ends", "%%timeit -n 1000000000 -r 1000\npass"),
    _answer("H25k", "an encoding of its own and a form feed",
            "# -*- coding: rot13 -*-\n\x0c\x1a\n" + WRONG["product"]),
]  # fmt: skip
