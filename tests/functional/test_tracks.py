"""Two tracks from one source: what is released is what is handed in, judged, entered and shown."""

from __future__ import annotations

import ast
import builtins
import contextlib
import io
import json
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import pytest

from shardwork.command import main
from shardwork.course import Course, Track, load_course
from shardwork.errors import CourseError, ExitCode
from shardwork.feedback import feedback_page
from shardwork.gradebook import ensure_registered, write_gradebook
from shardwork.ingest import ingest
from shardwork.leaks import collect_secrets, find_leaks
from shardwork.notebook import Role, load_source, role, without
from shardwork.release import compile_release, differing_files
from shardwork.report import write_report
from tests import factories
from tests.factories import ASSIGNMENT, QUESTION
from tests.functional.test_gradebook import _gradebook, _grades
from tests.unit.test_feedback import Page

pytestmark = [
    pytest.mark.functional,
    # nbgrader 0.9.6, matplotlib and the libraries under them; none of it is ours to mend
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning"),
]
REPOSITORY = Path(__file__).resolve().parents[2]
CHAPTERS = [a.name for a in load_course(REPOSITORY).config.assignments]
PATH = f"{ASSIGNMENT}/{ASSIGNMENT}.ipynb"


@pytest.fixture
def course(tmp_path: Path) -> Course:
    """A course in which `top_words` and the written question are core, and `key_stats` is not."""
    made = factories.write_written_course(tmp_path)
    config = tmp_path / "course_config.py"
    text = config.read_text(encoding="utf-8")
    name = "'name': 'top_words', 'points': 3.0, 'minutes': 30, 'track': 'full'"
    assert name in text
    config.write_text(text.replace(name, name.replace("full", "core")), encoding="utf-8")
    for exercise in factories.EXERCISES:
        check = made.source / ASSIGNMENT / "tests" / f"{exercise}.py"
        check.parent.mkdir(exist_ok=True)
        check.write_text(f'name = "{exercise}"\n', encoding="utf-8")
    return load_course(tmp_path)


class Done(NamedTuple):
    """How a command ended, and what it said."""

    exit_code: Any
    output: str
    stderr: str


def run(course: Course, *arguments: str) -> Done:
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as exited,
    ):
        main(["--course", str(course.root), *arguments])
    return Done(exited.value.code, out.getvalue(), err.getvalue())


def released(course: Course) -> dict[str, Any]:
    text = (course.release / "en" / PATH).read_text(encoding="utf-8")
    notebook: dict[str, Any] = json.loads(text)
    return notebook


def hand_in(course: Course, student: str = "alice") -> Any:
    """Hand in the release as it is, with a written answer."""
    notebook = released(course)
    notebook["cells"][-1]["source"] = "A broadcast join."
    path = course.submitted / student / PATH
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return ingest(course, course.assignment(ASSIGNMENT), student)


def core_record(course: Course, student: str = "alice") -> Any:
    return factories.record(
        student,
        exercises=(factories.exercise("top_words"),),
        max_points=3.0,
        written=hand_in(course, student).written,
    )


def test_the_core_release_holds_the_cells_and_checks_of_the_core_exercises_only(
    course: Course,
) -> None:
    done = run(course, "release", "--track", "core")
    assert done.exit_code == ExitCode.DONE.value, done.output
    assert (
        "core (released): exercises 1, written questions 1, 40 minutes; "
        "full: exercises 2, written questions 1, 70 minutes" in done.output
    )
    notebook = released(course)
    assert [cell["id"] for cell in notebook["cells"]] == [
        "title", "setup", "top_words-task", "top_words", "test_top_words",
        f"{QUESTION}-task", QUESTION,
    ]  # fmt: skip
    assert notebook["metadata"]["shardwork"]["track"] == "core"
    checks = course.release / "en" / ASSIGNMENT / "tests"
    assert [path.name for path in checks.iterdir()] == ["top_words.py"]


def test_the_full_release_says_nothing_of_tracks(course: Course) -> None:
    assert run(course, "release").exit_code == ExitCode.DONE.value
    assert "track" not in released(course)["metadata"]["shardwork"]
    assert course.track(ASSIGNMENT) is Track.FULL


def test_what_is_released_is_what_everything_after_it_knows(course: Course) -> None:
    run(course, "release", "--track", "core")
    assignment = course.assignment(ASSIGNMENT)
    assert [exercise.name for exercise in assignment.exercises] == ["top_words"]
    taken = hand_in(course)
    assert taken.notices == ()  # nothing is missing
    record = core_record(course)
    assert write_gradebook(course, ASSIGNMENT, [record]).failed == {}
    assert set(_grades(course)["alice"]) == {"test_top_words", QUESTION}
    with _gradebook(course) as gradebook:
        assert gradebook.find_assignment(ASSIGNMENT).max_score == 6.0
    page = Page(feedback_page(record, course, "en")).text
    assert "3 of 6" in page
    assert "key_stats" not in page
    path, report = write_report(course, ASSIGNMENT, [record])
    assert [figures.name for figures in report.exercises] == ["top_words"]
    assert report.summary.max_points == 3.0
    assert "key_stats" not in Page(path.read_text(encoding="utf-8")).text


def test_the_track_in_the_configuration_is_what_release_gives_out(course: Course) -> None:
    config = course.root / "course_config.py"
    text = config.read_text(encoding="utf-8")
    config.write_text(f'{text}\ncourse["track"] = "core"\n', encoding="utf-8")
    configured = load_course(course.root)
    assert configured.config.track is Track.CORE
    assert configured.track(ASSIGNMENT) is Track.CORE  # no release yet
    assert run(configured, "release").exit_code == ExitCode.DONE.value
    assert released(configured)["metadata"]["shardwork"]["track"] == "core"
    assert run(configured, "release", "--check").exit_code == ExitCode.DONE.value
    assert run(configured, "release", "--check", "--track", "full").exit_code == 1


def test_a_class_that_has_handed_in_is_not_moved_to_another_track_by_the_way(
    course: Course,
) -> None:
    run(course, "release", "--track", "core")
    hand_in(course)
    refused = run(course, "release")
    assert refused.exit_code != ExitCode.DONE.value
    assert "students have handed it in" in refused.stderr
    assert course.track(ASSIGNMENT) is Track.CORE
    assert run(course, "release", "--track", "core").exit_code == ExitCode.DONE.value
    assert run(course, "release", "--track", "full").exit_code == ExitCode.DONE.value
    assert course.track(ASSIGNMENT) is Track.FULL


def test_one_language_is_not_released_in_another_track_than_the_others(tmp_path: Path) -> None:
    course = factories.write_written_course(tmp_path, ("en", "ja"))
    config = tmp_path / "course_config.py"
    text = config.read_text(encoding="utf-8").replace(
        "'track': 'full', 'w", "'track': 'core', 'w", 1
    )
    config.write_text(text, encoding="utf-8")
    assert run(course, "release").exit_code == ExitCode.DONE.value
    refused = run(course, "release", "--language", "en", "--track", "core")
    assert "Release all languages together" in refused.stderr
    assert course.track(ASSIGNMENT) is Track.FULL


def test_an_empty_gradebook_follows_a_change_of_the_track(course: Course) -> None:
    for track, most in (("full", 11.0), ("core", 6.0), ("full", 11.0)):
        run(course, "release", "--track", track)
        ensure_registered(course, ASSIGNMENT)
        with _gradebook(course) as gradebook:
            assert gradebook.find_assignment(ASSIGNMENT).max_score == most


def test_a_gradebook_with_submissions_does_not(course: Course) -> None:
    run(course, "release", "--track", "core")
    assert write_gradebook(course, ASSIGNMENT, [core_record(course)]).failed == {}
    run(course, "release", "--track", "full")
    with pytest.raises(CourseError, match="submissions associated"):
        ensure_registered(course, ASSIGNMENT)


def test_a_track_without_exercises_is_not_released(tmp_path: Path) -> None:
    course = factories.write_course(tmp_path)
    with pytest.raises(CourseError, match="has no exercise of the core track"):
        compile_release(course, ASSIGNMENT, "en", Track.CORE)


def test_the_graders_are_proven_and_texts_translated_whatever_is_released(course: Course) -> None:
    run(course, "release", "--track", "core")
    assert [e.name for e in course.whole(ASSIGNMENT).exercises] == ["key_stats", "top_words"]
    assert load_source(course, ASSIGNMENT)  # held against everything, not against the track
    hidden = collect_secrets(course, ASSIGNMENT)
    assert find_leaks(hidden, compile_release(course, ASSIGNMENT, "en", Track.CORE).files) == []


# the real course ---------------------------------------------------------------------------------


@pytest.mark.parametrize("chapter", CHAPTERS)
@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_core_track_of_every_chapter_can_be_released(chapter: str, language: str) -> None:
    course = load_course(REPOSITORY)
    compiled = compile_release(course, chapter, language, Track.CORE)
    assert find_leaks(collect_secrets(course, chapter), compiled.files) == []
    nbformat.reads(compiled.files[f"{chapter}.ipynb"].decode(), as_version=4)
    assert len(differing_files(course, compiled)) >= 1 or course.track(chapter) is Track.CORE


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_no_cell_of_the_core_track_uses_what_only_a_cell_of_the_full_track_defines(
    chapter: str,
) -> None:
    course = load_course(REPOSITORY)
    whole = course.whole(chapter)
    core = whole.of_track(Track.CORE)
    full_only = {e.name for e in whole.exercises} - {e.name for e in core.exercises}
    defined = set(dir(builtins))
    missing = []
    for cell in without(load_source(course, chapter), full_only).cells:
        if cell.cell_type != "code":
            continue
        tree = ast.parse(cell.source)
        stored = _defined(tree)
        if role(cell) is not Role.TEST:
            used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
            missing += [(cell.id, name) for name in sorted(used - stored - defined)]
        defined |= stored
    assert not missing


def _defined(tree: ast.Module) -> set[str]:
    """Return every name that a cell binds, in whatever scope."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(a.asname or a.name).partition(".")[0] for a in node.names}
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
    return found
