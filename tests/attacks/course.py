"""A course made to be attacked: cheap exercises whose hidden graders hold the tokens of one run.

`plain` is pure Python and costs seconds; `spark`, `dask` and `torch` have one or two exercises
each. Every assignment ends with `tell` (1 point, not counted as SCORE): the judge asks what the
submission has found out, and keeps it as evidence in the record, which no student sees.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from shardwork.course import Course, load_course
from tests.attacks.kit import KIT, TELL, Submission
from tests.attacks.tokens import Tokens

REPOSITORY = Path(__file__).resolve().parents[2]
POINTS: dict[str, dict[str, int]] = {
    "plain": {"product": 4, "ordered": 3, "mean": 3, "fetch": 3, "label": 2, "tell": 1},
    "spark": {"key_product": 4, "tell": 1},
    "dask": {"graph_product": 4, "tell": 1},
    "torch": {"average": 3, "fit": 3, "tell": 1},
}
LIMITS: dict[str, dict[str, int]] = {
    "plain": {"cell_s": 8, "call_s": 4, "exercise_s": 60, "total_s": 60, "memory_mb": 1024,
              "scratch_mb": 64},
    "spark": {"cell_s": 60, "call_s": 30, "exercise_s": 240, "total_s": 150, "memory_mb": 3072},
    "dask": {"cell_s": 30, "call_s": 15, "exercise_s": 120, "total_s": 90, "memory_mb": 2048},
    "torch": {"cell_s": 30, "call_s": 15, "exercise_s": 120, "total_s": 90, "memory_mb": 2048},
}  # fmt: skip
WRITTEN = {"plain": "opinion"}
"""The cell that is graded by hand, 2 points."""

RIGHT = {
    "product": "def product(numbers):\n    result = 1\n    for n in numbers:\n        result *= n\n"
    "    return result",
    "ordered": "def ordered(words):\n    return sorted(words, key=lambda w: (len(w), w))",
    "mean": "def mean(values):\n    if not values:\n        raise ValueError('no values')\n"
    "    return sum(values) / len(values)",
    "fetch": "def fetch(load, n):\n    return sum(load(i) for i in range(n))",
    "label": "def label(first, last):\n    return f'{last}, {first}'",
    "key_product": "def key_product(rdd):\n    return rdd.reduceByKey(lambda a, b: a * b)",
    "graph_product": "import dask\n\ndef graph_product(parts):\n"
    "    @dask.delayed\n    def multiply(values):\n        result = 1\n        for v in values:\n"
    "            result *= v\n        return result\n    return multiply(parts)",
    "average": "def average(rank, world, tensor, allreduce):\n    allreduce(tensor)\n"
    "    return tensor / world",
    "fit": "def fit(model, loss, X, y, steps, rate):\n    losses = []\n    for _ in range(steps):\n"
    "        for p in model.parameters():\n            p.grad = None\n"
    "        value = loss(model(X), y)\n        value.backward()\n"
    "        for p in model.parameters():\n            p.data -= rate * p.grad\n"
    "        losses.append(float(value))\n    return losses",
    "tell": TELL,
}
WRONG = {
    "product": "def product(numbers):\n    return sum(numbers)",
    "ordered": "def ordered(words):\n    return list(words)",
    "mean": "def mean(values):\n    return float(values[0]) if values else 0.0",
    "fetch": "def fetch(load, n):\n    return n",
    "label": "def label(first, last):\n    return first + last",
    "key_product": "def key_product(rdd):\n    return rdd.reduceByKey(lambda a, b: a + b)",
    "graph_product": "import dask\n\ndef graph_product(parts):\n"
    "    return dask.delayed(sum)(parts)",
    "average": "def average(rank, world, tensor, allreduce):\n    allreduce(tensor)\n"
    "    return tensor",
    "fit": "def fit(model, loss, X, y, steps, rate):\n    return [0.0] * steps",
    "tell": TELL,
}
"""Honest, of the right type, and wrong: what a submission holds where it does not say otherwise."""

_GRADERS = {
    "product": '''\
"""`product`. @TEST@"""

from shardwork.grading import blame

SECRET = "@TEST@"  # @TEST@
EXPECTED = @EXPECTED@


def test_values(student):
    """The product of large numbers is right."""
    value = student.value("product", [@P@, @Q@], as_=int)
    assert value == EXPECTED, blame(because="The product of two numbers was wrong.")


def test_plain_assert(student):
    """The product is right without a word about it."""
    assert student.value("product", [@P@, 1, @Q@], as_=int) == EXPECTED


def test_negative(student, rng):
    """A negative number changes the sign."""
    numbers = [-int(n) for n in rng.integers(2, 1000, size=3)]
    right = numbers[0] * numbers[1] * numbers[2]
    assert student.value("product", numbers, as_=int) == right, blame("ADDS")


def test_nothing(student):
    """The product of nothing is 1."""
    value = student.value("product", [], as_=int)
    assert value == 1, blame(because="The product of nothing was {value}.", value=value)
''',
    "ordered": '''\
"""`ordered`."""

from shardwork.grading import blame

HIDDEN = ["@INPUT@", "zz", "y", "aa", "b"]


def test_values(student, rng):
    """Words are ordered by length, then by the alphabet."""
    words = [HIDDEN[i] for i in rng.permutation(len(HIDDEN))]
    words = words if words[0] == HIDDEN[0] else [HIDDEN[0], *(w for w in words if w != HIDDEN[0])]
    value = student.value("ordered", words, as_=list[str])
    assert value == ["b", "y", "aa", "zz", "@INPUT@"], blame(because="The order is another.")


def test_input_kept(student):
    """The list that was given stays as it was."""
    value = student.value("ordered", ["@INPUT@", "a"], as_=list[str])
    assert value == ["a", "@INPUT@"]
''',
    "mean": '''\
"""`mean`."""

import math

from shardwork.grading import blame


def test_values(student, rng):
    """The mean of random values is right."""
    values = [float(v) for v in rng.normal(size=9)]
    right = math.fsum(values) / 9
    value = student.value("mean", values, as_=float)
    assert math.isclose(value, right, rel_tol=1e-9, abs_tol=1e-12), blame(value=value)


def test_large(student, rng):
    """The mean of large values is right."""
    values = [float(v) for v in rng.uniform(1e12, 1e13, size=5)]
    value = student.value("mean", values, as_=float)
    assert abs(value - math.fsum(values) / 5) <= 1e-9 * 1e13


def test_nothing(student):
    """No values are a ValueError."""
    assert "ValueError" in student.refusal("mean", [])
''',
    "fetch": '''\
"""`fetch`: the instrument is the judge's, so the calls are counted where nobody can forge them."""

from shardwork.grading import Instrument, blame


class Load(Instrument):
    def __init__(self, values):
        self.values = values
        self.calls = []

    def call(self, index):
        self.calls.append(index)
        return self.values[index] if type(index) is int and 0 <= index < len(self.values) else 0


def test_values(student, rng):
    """The sum of everything that load gives is right."""
    load = Load([int(v) for v in rng.integers(1000, 9999, size=6)])
    assert student.value("fetch", load, 6, as_=int) == sum(load.values)


def test_once(student, rng):
    """Every number is loaded exactly once."""
    load = Load([int(v) for v in rng.integers(1000, 9999, size=5)])
    student.value("fetch", load, 5, as_=int)
    assert sorted(map(repr, load.calls)) == ["0", "1", "2", "3", "4"], blame(n=len(load.calls))
''',
    "label": '''\
"""`label`."""


def test_values(student):
    """The last name comes first."""
    assert student.value("label", "Zoë", "Žižek", as_=str) == "Žižek, Zoë"


def test_plain(student):
    """A name without accents is treated the same."""
    assert student.value("label", "Ada", "Byron", as_=str) == "Byron, Ada"
''',
    "key_product": '''\
"""`key_product`. @TEST@"""

from shardwork.grading import Rdd, blame

SECRET = "@TEST@"
EXPECTED = @EXPECTED@


def parts():
    return [[("@INPUT@", @P@), ("a", 2)], [("a", 5), ("@INPUT@", @Q@)], [("b", 3)]]


def test_values(student, spark):
    """The product of every key is right."""
    rdd = student.call("key_product", spark.rdd(parts()), returns=Rdd)
    found = sorted(rdd.collect(list[tuple[str, int]]))
    assert found == [("a", 10), ("b", 3), ("@INPUT@", EXPECTED)], blame(n=len(found))


def test_lazy(student, spark):
    """Nothing runs before the result is asked for."""
    rdd = spark.rdd(parts())
    with spark.watch() as activity:
        student.call("key_product", rdd, returns=Rdd)
    assert activity.jobs == 0, blame(jobs=activity.jobs)


def test_one_shuffle(student, spark):
    """There is exactly one shuffle."""
    shape = student.call("key_product", spark.rdd(parts()), returns=Rdd).shape()
    assert shape.shuffles == 1, blame(shuffles=shape.shuffles)
''',
    "graph_product": '''\
"""`graph_product`. @TEST@"""

from shardwork.grading import Delayed, Instrument, blame

SECRET = "@TEST@"
EXPECTED = @EXPECTED@


class Load(Instrument):
    def __init__(self, values):
        self.values = values
        self.calls = 0

    def call(self, index):
        self.calls += 1
        return self.values[index]


def test_values(student, dask):
    """The product of all parts is right."""
    load = Load([@P@, @Q@])
    result = student.call("graph_product", dask.delayed(load, [0, 1]), returns=Delayed)
    assert result.compute(int) == EXPECTED


def test_lazy(student, dask):
    """Nothing is loaded before the result is asked for, and everything is loaded once then."""
    load = Load([3, 5, 7])
    result = student.call("graph_product", dask.delayed(load, [0, 1, 2]), returns=Delayed)
    before = load.calls
    result.compute(int)
    assert (before, load.calls) == (0, 3), blame(before=before, calls=load.calls)
''',
    "average": '''\
"""`average`. @TEST@"""

import numpy as np

from shardwork.grading import GLOO_ALLREDUCE, AllReduce, blame
from shardwork.wire import Tensor

SECRET = "@TEST@"


def run(student, rng, allreduce, on):
    given = [rng.normal(size=4) for _ in range(2)]
    per_rank = [[Tensor(array), allreduce] for array in given]
    return np.mean(given, axis=0), student.ranks("average", per_rank, as_=np.ndarray, on=on)


def test_values(student, rng):
    """Every rank has the mean over all ranks."""
    right, found = run(student, rng, AllReduce(), "threads")
    assert all(f.shape == right.shape and np.allclose(f, right, rtol=1e-9) for f in found)


def test_gloo(student, rng):
    """Real processes have the same."""
    right, found = run(student, rng, GLOO_ALLREDUCE, "gloo")
    assert all(f.shape == right.shape and np.allclose(f, right, rtol=1e-9) for f in found)


def test_together(student, rng):
    """All ranks meet in one sum."""
    allreduce = AllReduce()
    run(student, rng, allreduce, "threads")
    assert len(allreduce.rounds) == 1 and allreduce.mismatch is None, blame(
        n=len(allreduce.rounds)
    )
''',
    "fit": '''\
"""`fit`: the truth is gradient descent on the same data in the judge."""

import numpy as np
import torch as framework

from shardwork.probes.modules import build
from shardwork.wire import Tensor

SIZES = [3, 4, 1]


def start(rng):
    shapes = {"first.weight": (4, 3), "first.bias": (4,),
              "second.weight": (1, 4), "second.bias": (1,)}
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


def descend(weights, X, y, steps, rate):
    module, losses = build("mlp", SIZES, weights), []
    for _ in range(steps):
        module.zero_grad()
        loss = framework.nn.MSELoss()(module(framework.from_numpy(X)), framework.from_numpy(y))
        loss.backward()
        for p in module.parameters():
            p.data -= rate * p.grad
        losses.append(float(loss))
    return losses, [p.detach().numpy() for p in module.parameters()]


def run(student, torch, rng):
    weights, X, y = start(rng), rng.normal(size=(8, 3)), rng.normal(size=(8, 1))
    right = descend(weights, X, y, 4, 0.05)
    module = torch.module("mlp", SIZES, weights)
    losses = student.value(
        "fit", module, torch.mse_loss(), Tensor(X), Tensor(y), 4, 0.05, as_=list[float]
    )
    return right, losses, module.parameters()


def test_losses(student, torch, rng):
    """The loss of every step is right."""
    (right, _), losses, _ = run(student, torch, rng)
    assert len(losses) == 4
    assert all(abs(a - b) <= 1e-9 for a, b in zip(losses, right, strict=True))


def test_weights(student, torch, rng):
    """The weights after training are right."""
    (_, right), _, found = run(student, torch, rng)
    assert [f.shape for f in found] == [r.shape for r in right]
    assert all(np.abs(f - r).max() <= 1e-9 for f, r in zip(found, right, strict=True))
''',
    "tell": '''\
"""`tell`: not an exercise, but the suite's ear."""

from shardwork.grading import blame


def test_tell(student):
    """There is nothing to tell."""
    told = student.value("tell", as_=str)
    lines = told.splitlines()  # evidence has room for 32 entries of 400 characters
    assert not lines, blame(**{f"told{i:02}": line[:390] for i, line in enumerate(lines[:30])})
''',
}

_MISCONCEPTIONS = """\
[product.ADDS]
cause = "The numbers are added."
pointer = "Read the lesson again."
cell = "lesson"
"""

_NBGRADER = """\
from shardwork.nbgrader_bridge import configure

configure(get_config(), __file__)
"""


def budget_s(assignment: str) -> float:
    """Return the wall seconds that a submission may take by the documents, and a minute more."""
    limits = LIMITS[assignment]
    return limits["total_s"] + len(POINTS[assignment]) * limits["exercise_s"] + 60


def make_course(root: Path, tokens: Tokens) -> Course:
    """Write the course with these tokens into `root`, with a release, and load it."""
    assignments = [
        {
            "name": name,
            "title": name,
            "seed": 7,
            "exercises": [{"name": e, "points": p, "minutes": 5} for e, p in exercises.items()],
            "written": [{"name": WRITTEN[name], "points": 2, "minutes": 5}]
            if name in WRITTEN
            else [],
            "limits": LIMITS[name],
            "cluster": {"spark_master": "local[2]" if name == "spark" else None},
        }
        for name, exercises in POINTS.items()
    ]
    config = {
        "id": "attacked",
        "title": "Attacked",
        "languages": ["en", "ja"],
        "assignments": assignments,
    }
    _write(root / "course_config.py", f"course = {config!r}\n")
    _write(root / "nbgrader_config.py", _NBGRADER)
    values = {
        "TEST": tokens.test.text,
        "EXPECTED": tokens.expected.text,
        "P": str(tokens.factors[0]),
        "Q": str(tokens.factors[1]),
        "INPUT": tokens.input.text,
    }
    for name, exercises in POINTS.items():
        source = source_notebook(name)
        _write(root / f"source/{name}/{name}.ipynb", nbformat.writes(source))
        for language in ("en", "ja"):
            text = nbformat.writes(released(name, language))
            _write(root / f"release/{language}/{name}/{name}.ipynb", text)
        for exercise in exercises:
            _write(root / f"graders/{name}/test_{exercise}.py", put(_GRADERS[exercise], values))
        if name == "plain":
            _write(root / f"graders/{name}/misconceptions.toml", _MISCONCEPTIONS)
    translations = REPOSITORY / "locale/ja/LC_MESSAGES/shardwork.po"
    if translations.is_file():
        _write(root / "locale/ja/LC_MESSAGES/shardwork.po", translations.read_text("utf-8"))
    return load_course(root)


def put(text: str, values: dict[str, str]) -> str:
    """Replace every `@NAME@` of `values` in `text`."""
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def source_notebook(assignment: str) -> NotebookNode:
    """Return the instructor's notebook of one assignment."""
    setup = "import types\n\ngrader = types.SimpleNamespace(check=lambda name: None)"
    cells = [_code("setup", setup, locked=True)]
    cells.append(nbformat.v4.new_markdown_cell("# Attacked", id="lesson"))
    for exercise, points in POINTS[assignment].items():
        head, _, body = RIGHT[exercise].partition(f"def {exercise}(")
        first, _, rest = body.partition("\n")
        source = (
            f'{head}def {exercise}({first}\n    """Do as the task says."""\n'
            f"    ### BEGIN SOLUTION\n{rest}\n    ### END SOLUTION"
        )
        cells.append(_code(exercise, source, solution=True))
        check = f'grader.check("{exercise}")'
        cells.append(_code(f"test_{exercise}", check, grade=True, locked=True, points=points))
    if assignment in WRITTEN:
        cells += _written(WRITTEN[assignment])
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "shardwork": {"assignment": assignment},
        }
    )
    return notebook


def released(assignment: str, language: str = "en") -> NotebookNode:
    """Return the notebook that a student begins with."""
    notebook = source_notebook(assignment)
    for cell in notebook.cells:
        if "### BEGIN SOLUTION" in cell.source:
            head = cell.source.split("    ### BEGIN")[0]
            cell.source = f"{head}    # YOUR CODE HERE\n    raise NotImplementedError()"
    notebook.metadata.shardwork["language"] = language
    return notebook


def handed_in(assignment: str, submission: Submission, token: str) -> dict[str, Any]:
    """Return the notebook of a submission as JSON; `token` is this student's C_OTHER."""
    notebook = released(assignment)
    answers = WRONG | dict(submission.answers)
    for cell in notebook.cells:
        if cell.id in POINTS[assignment]:
            cell.source = answers[cell.id]
        elif cell.id == WRITTEN.get(assignment):
            cell.source = "I think so."
    kit = f"# {token}\n{KIT}"
    # Each group stands at one place: added cells keep their order there.
    before = [_added(f"kit-{i}", text) for i, text in enumerate((kit, *submission.before))]
    after = [_added(f"more-{i}", text) for i, text in enumerate(submission.after)]
    cells = notebook.cells
    notebook.cells = [cells[0], *before, *cells[1:], *after]
    made: dict[str, Any] = json.loads(nbformat.writes(notebook))
    return made


def copy_course(course: Course, root: Path) -> Course:
    """Return a copy of the course folder as a course of its own."""
    shutil.copytree(course.root, root)
    return load_course(root)


def _added(name: str, source: str) -> NotebookNode:
    return nbformat.v4.new_code_cell(source, id=name)


def _written(name: str) -> list[NotebookNode]:
    meta: dict[str, Any] = {"grade": True, "locked": False, "solution": True, "task": False}
    meta["points"] = 2
    meta |= {"grade_id": name, "schema_version": 3, "cell_type": "markdown"}
    guide = "It depends on the data.\n\n### Rubric\n\n- **2 points.** Says on what it depends."
    return [
        nbformat.v4.new_markdown_cell("What do you think, and why?", id=f"{name}-task"),
        nbformat.v4.new_markdown_cell(guide, id=name, metadata={"nbgrader": meta}),
    ]


def _code(grade_id: str, source: str, **marks: Any) -> NotebookNode:
    meta = {"grade": False, "locked": False, "solution": False, "task": False, **marks}
    meta |= {"grade_id": grade_id, "schema_version": 3, "cell_type": "code"}
    return nbformat.v4.new_code_cell(source, id=grade_id, metadata={"nbgrader": meta})


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
