"""Nothing on the trusted side unpickles, evaluates or runs data: by its source, and while it runs.

The first half reads the engine's modules. The second shows that a judge ends when something that it
uses unpickles after all.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from jupyter_client import session as jupyter_session

import shardwork
from shardwork.judge import guard

pytestmark = pytest.mark.unit

ROOT = Path(shardwork.__file__).parent
SANDBOX_SIDE = ("inside", "lab", "probes")
"""What runs as the student: in a sandbox, or on a student's own machine."""
BOTH_SIDES = ("probes/modules.py",)
"""Graders build the same networks with it."""
ALLOWED = {
    # `course_config.py` is the instructor's own program, as `nbgrader_config.py` is
    ("course.py", "runpy"),
    ("course.py", "runpy.run_path"),
    # the command that was asked for, by a name from a table
    ("command/__init__.py", "importlib.import_module"),
    # machines that grade trust each other; what a submission says travels between them as bytes
    ("remote.py", "distributed"),
}

MODULES = {
    "pickle", "_pickle", "cPickle", "pickletools", "cloudpickle", "dill", "jsonpickle", "joblib",
    "marshal", "shelve", "copyreg", "yaml", "runpy", "code", "codeop",
    "multiprocessing",  # its connections and queues unpickle
    "distributed", "dask", "pyspark",  # their clients unpickle what workers return
    "shardwork.lab",
}  # fmt: skip
CALLS = {"eval", "exec", "compile", "__import__", "breakpoint"}
METHODS = {"read_pickle", "load_pickle", "loads_pickle", "run_path", "run_module", "import_module"}
LOADERS = {"torch", "np", "numpy", "framework", "pickle"}
"""Modules whose `load` may unpickle."""


def what_runs_data(source: str) -> set[str]:
    """Return the names in a module's source that could run what is only data."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {name for alias in node.names if (name := _forbidden(alias.name))}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            found |= {name for each in names if (name := _forbidden(each))}
        elif isinstance(node, ast.Call):
            found |= _called(node)
    return found


def _forbidden(module: str) -> str | None:
    return next((m for m in MODULES if module == m or module.startswith(f"{m}.")), None)


def _called(node: ast.Call) -> set[str]:
    function = node.func
    found = {word.arg for word in node.keywords if word.arg in {"allow_pickle", "weights_only"}}
    if isinstance(function, ast.Name) and function.id in CALLS:
        found.add(function.id)
    if isinstance(function, ast.Attribute):
        base = function.value.id if isinstance(function.value, ast.Name) else ""
        if function.attr in METHODS or (function.attr == "load" and base in LOADERS):
            found.add(f"{base}.{function.attr}")
    return found


def trusted_modules() -> list[Path]:
    paths = [p for p in ROOT.rglob("*.py") if p.relative_to(ROOT).parts[0] not in SANDBOX_SIDE]
    return sorted([*paths, *(ROOT / name for name in BOTH_SIDES)])


def test_no_module_of_the_trusted_side_runs_data() -> None:
    found = {
        (str(path.relative_to(ROOT)), name)
        for path in trusted_modules()
        for name in what_runs_data(path.read_text(encoding="utf-8"))
    }
    assert found == ALLOWED  # an exemption that nothing needs is one too many


def test_all_modules_but_those_of_the_sandbox_are_read() -> None:
    read = {str(path.relative_to(ROOT)) for path in trusted_modules()}
    assert {"wire/frames.py", "judge/process.py", "sandbox/session.py", "batch.py"} <= read
    assert not any(name.startswith("lab/") for name in read)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import pickle as p",
        "from pickle import loads",
        "from os import path; import cloudpickle.cloudpickle",
        "def f():\n    from joblib import load",
        "import multiprocessing.connection",
        "import dask.array as da",
        "from shardwork import lab",
        "from shardwork.lab.rank_frames import FrameBuffer",
        "x = eval(text)",
        "exec(compile(text, 'a', 'exec'))",
        "np.load(path)",
        "np.lib.format.read_array(file, allow_pickle=True)",
        "torch.load(path)",
        "pd.read_pickle(path)",
        "importlib.import_module(name)",
    ],
)
def test_whatever_could_run_data_is_found(source: str) -> None:
    assert what_runs_data(source)


@pytest.mark.parametrize(
    "source", ["np.frombuffer(raw)", "json.loads(text)", "re.compile(text)", "import msgspec"]
)
def test_what_only_reads_data_is_not(source: str) -> None:
    assert what_runs_data(source) == set()


def test_what_a_kernel_says_is_read_as_json() -> None:
    """jupyter_client can also pack messages with pickle; it must be told to, by its owner."""
    reads = jupyter_session.Session().unpack
    assert reads is not jupyter_session.pickle_unpacker
    assert reads(b'{"a": 1}') == {"a": 1}
    with pytest.raises(ValueError):
        reads(b"cbuiltins\nprint\n.")


JUDGE = """
import io, pickle, sys
from typing import Any
from shardwork.judge import process

def do(*_):
    try:
        {line}
    except BaseException:
        pass
    print("went on", file=sys.stderr)

process.Job = Any
process._do = do
process.run_job(io.BytesIO(b"{{}}"), open(1, "wb", buffering=0, closefd=False), None, None)
"""


def run(text: str, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", text, *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_judge_that_unpickles_ends_with_an_error_of_ours_before_anything_is_run() -> None:
    """Whatever catches exceptions on the way."""
    ended = run(JUDGE.format(line=r"pickle.loads(b'cbuiltins\nprint\n(Vrun\ntR.')"))
    assert ended.returncode == 1
    assert ended.stdout.startswith('{"type":"problem"')
    assert "pickle.find_class" in ended.stdout
    assert "run" not in ended.stdout.splitlines()
    assert "went on" not in ended.stderr


def test_a_judge_that_does_nothing_of_the_kind_goes_on() -> None:
    ended = run(JUDGE.format(line="pickle.dumps(print); pickle.loads(pickle.dumps([1, 'a']))"))
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "went on" in ended.stderr


WATCHED = """
import os, sys
from shardwork.judge import guard

guard.watch(lambda event: os._exit(17))
{line}
"""


EVENTS = {
    "pickle.find_class": "import numpy as np; np.load(sys.argv[1], allow_pickle=True)",
    "os.system": "os.system('true')",
    "os.exec": "os.execv(sys.executable, [sys.executable, '-c', ''])",
    "pty.spawn": "import pty; pty.spawn('true')",
    "sqlite3.connect": "import sqlite3; sqlite3.connect(':memory:')",
    "urllib.Request": "import urllib.request as r; r.urlopen('http://127.0.0.1:9/')",
    "ftplib.connect": "import ftplib; ftplib.FTP('127.0.0.1')",
    "smtplib.connect": "import smtplib; smtplib.SMTP('127.0.0.1', 9)",
}


def test_every_event_that_ends_a_judge_is_tried_here() -> None:
    assert set(EVENTS) == guard.NEVER


@pytest.mark.parametrize(("event", "line"), EVENTS.items(), ids=EVENTS.keys())
def test_a_process_that_is_watched_ends_before(event: str, line: str, tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([print]), allow_pickle=True)
    assert event in guard.NEVER
    assert run(WATCHED.format(line=line), str(tmp_path / "objects.npy")).returncode == 17
