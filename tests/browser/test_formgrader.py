"""formgrader and nbgrader's own feedback in a browser, served by a real Jupyter server.

What our pipeline writes there is code, plain text and written answers; here lies a notebook that is
active wherever one can be, so that the sanitizer is tried for itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shardwork.course import Course, load_course
from shardwork.feedback import feedback_page
from shardwork.gradebook import write_gradebook
from shardwork.handgrading import read_hand_grading
from shardwork.ingest import ingest
from shardwork.release import compile_release, write_release
from tests import factories
from tests.browser.conftest import Viewer
from tests.browser.hostile import RUNS_UNDEFENDED, SINK, notebook, words
from tests.factories import ASSIGNMENT, QUESTION

pytestmark = [
    pytest.mark.functional,
    # nbgrader 0.9.6 and the libraries under it; none of it is ours to mend
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

REPOSITORY = Path(__file__).resolve().parents[2]
START_S = 90.0
CONFIG = "from shardwork.nbgrader_bridge import configure\n\nconfigure(get_config(), __file__)\n"
UNDEFENDED = """\
c = get_config()
c.HTMLExporter.preprocessors = []
c.HTMLExporter.filters = {}
c.GenerateFeedback.preprocessors = ["nbgrader.preprocessors.GetGrades"]
"""


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Course:
    """A course with two submissions in the gradebook; the notebook of `eve` is hostile."""
    root = tmp_path_factory.mktemp("graded") / "course"
    root.mkdir()
    course = factories.write_course(root)
    write_release(course, compile_release(course, ASSIGNMENT, "en"))
    (root / "nbgrader_config.py").write_text(CONFIG, encoding="utf-8")
    hostile_output = factories.record("alice", cells=_loud_cells())
    assert not write_gradebook(course, ASSIGNMENT, [hostile_output, factories.record("eve")]).failed
    path = _autograded(course, "eve")
    made = notebook(json.loads(path.read_text(encoding="utf-8")))
    path.write_text(json.dumps(made), encoding="utf-8")
    return course


@pytest.fixture(scope="module")
def undefended(graded: Course, tmp_path_factory: pytest.TempPathFactory) -> Course:
    """The same course with the sanitizer switched off."""
    root = tmp_path_factory.mktemp("undefended") / "course"
    shutil.copytree(graded.root, root)
    (root / "nbgrader_config.py").write_text(CONFIG + UNDEFENDED, encoding="utf-8")
    return load_course(root)


@pytest.fixture(scope="module")
def server(graded: Course) -> Iterator[str]:
    with _served(graded) as url:
        yield url


def test_a_submission_in_formgrader_runs_nothing_of_the_students(
    graded: Course, server: str, viewer: Viewer
) -> None:
    for student in ("eve", "alice"):
        seen = viewer.look(f"{server}/formgrader/submissions/{_id(graded, student)}/")
        assert seen.ran == set(), student
        assert seen.dialogs == []
        assert seen.asked_of(SINK) == []
        assert not [link for link in seen.links if re.match("javascript|data", link)]
        assert "Full credit" in seen.text  # the page is the real one


def test_without_the_sanitizer_the_detector_sees_scripts_run(
    undefended: Course, viewer: Viewer
) -> None:
    with _served(undefended) as server:
        seen = viewer.look(f"{server}/formgrader/submissions/{_id(undefended, 'eve')}/")
    assert seen.ran >= RUNS_UNDEFENDED, RUNS_UNDEFENDED - seen.ran
    assert seen.asked_of(SINK)


@pytest.mark.parametrize(
    "page",
    [
        f"gradebook/{ASSIGNMENT}/{ASSIGNMENT}",
        f"manage_submissions/{ASSIGNMENT}",
        "manage_students",
        "manage_students/eve",
        f"manage_students/eve/{ASSIGNMENT}",
    ],
)
def test_the_lists_of_formgrader_run_nothing(server: str, viewer: Viewer, page: str) -> None:
    seen = viewer.look(f"{server}/formgrader/{page}")
    assert seen.ran == set()
    assert seen.dialogs == []
    assert seen.asked_of(SINK) == []


@pytest.mark.parametrize("defended", [True, False])
def test_nbgraders_own_feedback_page_runs_nothing_unless_the_sanitizer_is_off(
    graded: Course, undefended: Course, viewer: Viewer, defended: bool
) -> None:
    # There are no records here, so nbgrader's page is made and not ours.
    course = graded if defended else undefended
    path = _autograded(course, "alice")
    made = notebook(json.loads(path.read_text(encoding="utf-8")), marks_too=False)
    path.write_text(json.dumps(made), encoding="utf-8")
    done = _nbgrader(course, "generate_feedback", ASSIGNMENT, "--student", "alice", "--force")
    assert done.returncode == 0, done.stderr
    page = course.feedback / "alice" / ASSIGNMENT / f"{ASSIGNMENT}.html"
    seen = viewer.look(page.as_uri())
    if defended:
        assert seen.ran == set()
        assert seen.asked_of(SINK) == []
    else:
        assert seen.ran >= {"markdown script", "html output"}


def test_a_written_answer_is_graded_by_hand_in_formgrader(tmp_path: Path, viewer: Viewer) -> None:
    course = factories.write_written_course(tmp_path / "course")
    write_release(course, compile_release(course, ASSIGNMENT, "en"))
    (course.root / "nbgrader_config.py").write_text(CONFIG, encoding="utf-8")
    released = course.release / "en" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
    answered = json.loads(released.read_text(encoding="utf-8"))
    answered["cells"][-1]["source"] = "A **broadcast** join.\n\n" + words("markdown")
    path = course.submitted / "alice" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(answered), encoding="utf-8")
    taken = ingest(course, course.assignment(ASSIGNMENT), "alice")
    record = factories.record("alice", written=taken.written)
    assert not write_gradebook(course, ASSIGNMENT, [record]).failed
    assert read_hand_grading(course, ASSIGNMENT)["alice"].waiting == {QUESTION}

    def grade(page: Any) -> None:
        guide = page.locator("blockquote").inner_text()
        assert "Names the join that moves no rows of the large table." in guide
        assert page.locator(".nbgrader_cell strong", has_text="broadcast").count() == 1
        page.fill(f"#{QUESTION}-comment", "What if it grows?")
        page.fill(f"input#{QUESTION}", "2")
        with page.expect_response(lambda answer: "/api/grade/" in answer.url):
            page.press(f"input#{QUESTION}", "Tab")

    with _served(course) as server:
        listed = viewer.look(f"{server}/formgrader/gradebook/{ASSIGNMENT}/{ASSIGNMENT}")
        assert "Submission #1" in listed.text
        seen = viewer.use(f"{server}/formgrader/submissions/{_id(course, 'alice')}/", grade)
    assert seen.ran == set()
    assert seen.dialogs == []
    assert seen.asked_of(SINK) == []
    by_hand = read_hand_grading(course, ASSIGNMENT)["alice"]
    assert by_hand.points == {QUESTION: 2.0}
    assert by_hand.comments == {QUESTION: "What if it grows?"}
    assert by_hand.waiting == frozenset()
    page = feedback_page(record, course, "en", by_hand)
    assert "10 of 11" in page
    assert "What if it grows?" in page


def _loud_cells() -> tuple[Any, ...]:
    from shardwork.record import CellOutcome
    from tests.browser.hostile import words

    return (CellOutcome("key_stats", "key_stats", "raised", words("text"), words("error")),)


def _autograded(course: Course, student: str) -> Path:
    return course.autograded / student / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"


def _id(course: Course, student: str) -> str:
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course.gradebook}", course.config.id) as gradebook:
        found = gradebook.find_submission_notebook(ASSIGNMENT, ASSIGNMENT, student)
        return str(found.id)


@contextlib.contextmanager
def _served(course: Course) -> Iterator[str]:
    """Run a Jupyter server with formgrader in the course folder, reachable from here alone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = course.root / "server.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "jupyter_server", "--allow-root", "--no-browser",
                f"--port={port}", "--ip=127.0.0.1", "--IdentityProvider.token=",
                "--ServerApp.port_retries=0",
                "--ServerApp.jpserver_extensions={'nbgrader.server_extensions.formgrader': True}",
            ],
            cwd=course.root, env=_environment(course), stdout=said, stderr=said,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + START_S
        while not _answers(f"{url}/api"):
            assert process.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
            time.sleep(0.1)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _environment(course: Course) -> dict[str, str]:
    """Nothing of the user's own Jupyter; this working tree's engine."""
    own = course.root / ".jupyter"
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(REPOSITORY), os.environ.get("PYTHONPATH", ""))),
        "JUPYTER_CONFIG_DIR": str(own / "config"),
        "JUPYTER_DATA_DIR": str(own / "data"),
        "JUPYTER_RUNTIME_DIR": str(own / "runtime"),
    }


def _nbgrader(course: Course, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=course.root, env=_environment(course), capture_output=True, text=True, timeout=200,
        check=False,
    )  # fmt: skip
