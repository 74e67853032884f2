"""Releases: what nbgrader makes of a source, in each language, byte for byte."""

from __future__ import annotations

import ast
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from shardwork import release
from shardwork.catalogue import Counts
from shardwork.course import Course, load_course
from shardwork.errors import CourseError, NothingMatched
from shardwork.leaks import collect_secrets, find_leaks
from shardwork.notebook import load_source, starter_source
from tests.functional.small_course import (
    exercise_cells,
    make_small_course,
    source_notebook,
    write,
    write_notebook,
)

pytestmark = pytest.mark.functional

NAME = "ch0_lists"
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def course(tmp_path: Path) -> Course:
    return make_small_course(tmp_path / "course")


def notebook_of(compiled: release.Compiled) -> nbformat.NotebookNode:
    return nbformat.reads(compiled.files[f"{compiled.assignment}.ipynb"].decode(), as_version=4)


def sources(nb: nbformat.NotebookNode) -> dict[str, str]:
    return {cell.id: cell.source for cell in nb.cells}


def tree_of(folder: Path) -> dict[str, bytes]:
    paths = sorted(folder.rglob("*"))
    return {str(p.relative_to(folder)): p.read_bytes() for p in paths if p.is_file()}


def test_a_release_has_the_starters_in_place_of_the_solutions(course):
    nb = notebook_of(release.compile_release(course, NAME, "en"))
    source = sources(source_notebook())
    expected = {i: starter_source(s) if i in ("halves", "runs") else s for i, s in source.items()}
    assert sources(nb) == expected


def test_a_release_is_locked_by_nbgrader_and_names_its_language(course):
    nb = notebook_of(release.compile_release(course, NAME, "ja"))
    cells = {cell.id: cell.metadata for cell in nb.cells}
    assert cells["test_halves"].editable is False
    assert cells["halves"].deletable is False
    assert cells["test_halves"].nbgrader.points == 2
    assert len(cells["test_halves"].nbgrader.checksum) == 32
    assert nb.metadata.shardwork == {"assignment": NAME, "language": "ja"}


def test_the_languages_share_ids_points_and_code(course):
    english = notebook_of(release.compile_release(course, NAME, "en"))
    japanese = notebook_of(release.compile_release(course, NAME, "ja"))
    assert [c.id for c in english.cells] == [c.id for c in japanese.cells]
    for one, other in zip(english.cells, japanese.cells, strict=True):
        # The checksum covers the docstring, which is prose.
        for metadata in (one.metadata, other.metadata):
            metadata.get("nbgrader", {}).pop("checksum", None)
        assert one.metadata == other.metadata
        if one.cell_type == "code":
            assert code_of(one.source) == code_of(other.source)


def code_of(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node):
            node.body = node.body[1:]
    return ast.dump(tree)


def test_the_japanese_release_has_japanese_lessons_docstrings_and_messages(course):
    compiled = release.compile_release(course, NAME, "ja")
    texts = sources(notebook_of(compiled))
    assert texts["ch0-lesson"].startswith(
        "## リストを切る\n\nリストは添字で切ります。\n\n```python"
    )
    assert '"""リストの前半と後半を返します。' in texts["halves"]
    assert "両方そろっています。" in compiled.files["tests/halves.py"].decode()
    assert "Return a tuple." in compiled.files["tests/halves.py"].decode()  # falls back
    assert compiled.counts == Counts(translated=6, missing=7, outdated=0)


def test_the_first_language_counts_no_translations(course):
    assert release.compile_release(course, NAME, "en").counts is None


def test_other_files_are_released_as_they_are_and_traces_of_work_are_not(course):
    folder = course.source / NAME
    write(folder / ".OTTER_LOG", "log")
    write(folder / ".ipynb_checkpoints" / "ch0_lists-checkpoint.ipynb", "{}")
    write(folder / "tests/__pycache__/halves.cpython-311.pyc", "x")
    files = release.compile_release(course, NAME, "en").files
    assert set(files) == {"ch0_lists.ipynb", "data/table.csv", "tests/halves.py"}
    assert files["data/table.csv"] == b"a,b\n1,2\n"
    assert files["tests/halves.py"] == (folder / "tests/halves.py").read_bytes()


def test_a_release_is_the_same_byte_for_byte_in_another_folder_time_and_process(course, tmp_path):
    for language in ("en", "ja"):
        release.write_release(course, release.compile_release(course, NAME, language))
    elsewhere = tmp_path / "elsewhere" / "another course"
    elsewhere.parent.mkdir()
    shutil.copytree(course.root, elsewhere, ignore=shutil.ignore_patterns("release"))
    subprocess.run(
        [sys.executable, "-m", "shardwork", "--course", str(elsewhere), "release"],
        check=True,
        capture_output=True,
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONHASHSEED": "1",
            "TZ": "Asia/Tokyo",
        },
    )
    assert tree_of(elsewhere / "release") == tree_of(course.release)
    assert len(tree_of(course.release)) == 6
    for name, content in tree_of(course.release).items():
        assert str(course.root).encode() not in content, name
        assert str(Path.home()).encode() not in content, name


def test_writing_a_release_a_second_time_touches_nothing(course):
    compiled = release.compile_release(course, NAME, "en")
    assert release.write_release(course, compiled) is True
    path = course.release / "en" / NAME / "ch0_lists.ipynb"
    before = path.stat()
    assert release.write_release(course, compiled) is False
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert [p.name for p in (course.release / "en").iterdir()] == [NAME]


def test_every_kind_of_difference_from_the_release_folder_is_named(course):
    compiled = release.compile_release(course, NAME, "en")
    release.write_release(course, compiled)
    assert release.differing_files(course, compiled) == []
    folder = course.release / "en" / NAME
    (folder / "data/table.csv").unlink()
    (folder / "extra.txt").write_text("x")
    (folder / "tests/halves.py").write_text("changed")
    assert release.differing_files(course, compiled) == [
        f"release/en/{NAME}/data/table.csv",
        f"release/en/{NAME}/extra.txt",
        f"release/en/{NAME}/tests/halves.py",
    ]
    release.write_release(course, compiled)
    assert release.differing_files(course, compiled) == []


def test_the_old_release_comes_back_if_the_exchange_fails(course, monkeypatch):
    compiled = release.compile_release(course, NAME, "en")
    release.write_release(course, compiled)
    before = tree_of(course.release)
    changed = release.Compiled(NAME, "en", {"new.txt": b"new"}, None)
    rename = Path.replace

    def fail_for_the_new_folder(self, target):
        if self.name == "new":
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", fail_for_the_new_folder)
    with pytest.raises(OSError, match="No space left"):
        release.write_release(course, changed)
    assert tree_of(course.release) == before


def test_an_unknown_language_is_refused_with_those_there_are(course):
    with pytest.raises(NothingMatched, match=r"not given in 'fr'; it is given in: en, ja"):
        release.compile_release(course, NAME, "fr")


def test_a_second_notebook_in_the_folder_is_refused(course):
    write_notebook(course.source / NAME / "notes.ipynb", source_notebook())
    with pytest.raises(CourseError, match=r"notes\.ipynb: an assignment has one notebook"):
        release.compile_release(course, NAME, "en")


def test_what_nbgrader_refuses_is_said_in_one_sentence_and_the_folder_is_left(course):
    nb = source_notebook()
    nb.cells.append(nbformat.v4.new_code_cell("### BEGIN HIDDEN TESTS\nx = 1", id="odd"))
    write_notebook(course.source_notebook(NAME), nb)
    before = Path.cwd()
    with pytest.raises(CourseError) as raised:
        release.compile_release(course, NAME, "en")
    assert Path.cwd() == before
    assert "No end hidden tests statement found" in str(raised.value)
    assert "Traceback" not in str(raised.value)


def test_compiling_says_nothing_and_writes_nothing_in_the_course(course, capfd):
    before = tree_of(course.root)
    release.compile_release(course, NAME, "en")
    assert tree_of(course.root) == before
    assert capfd.readouterr() == ("", "")


def query(course: Course, statement: str) -> list[tuple]:
    connection = sqlite3.connect(course.gradebook)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


CELLS = "select name, max_score from grade_cells join base_cell using (id) order by name"


def test_registering_enters_cells_points_and_due_date_into_the_gradebook(course, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # `alembic` is not there
    release.register_assignment(course, NAME)
    # 23:59:59 in Japan is 14:59:59 UTC.
    assert query(course, "select name, duedate from assignment") == [
        (NAME, "2027-01-15 14:59:59.000000")
    ]
    assert query(course, CELLS) == [("test_halves", 2.0), ("test_runs", 3.0)]
    [(source,)] = query(course, "select source from source_cell where name = 'runs'")
    assert source == sources(notebook_of(release.compile_release(course, NAME, "en")))["runs"]
    assert os.environ["PATH"] == "/usr/bin:/bin"


# nbgrader 0.9.6 builds a submission in a way that SQLAlchemy warns about.
@pytest.mark.filterwarnings("ignore:Object of type:sqlalchemy.exc.SAWarning")
def test_registering_twice_keeps_submissions_and_refuses_another_set_of_cells(course):
    from nbgrader.api import Gradebook

    release.register_assignment(course, NAME)
    with Gradebook(f"sqlite:///{course.gradebook}", "small") as gradebook:
        gradebook.add_student("alice")
        gradebook.add_submission(NAME, "alice")
    release.register_assignment(course, NAME)
    assert query(course, "select count(*) from submitted_assignment") == [(1,)]

    config = course.root / "course_config.py"
    line = '{"name": "runs", "points": 3, "minutes": 5},'
    more = '{"name": "more", "points": 1, "minutes": 5},'
    write(config, config.read_text().replace(line, line + more))
    nb = source_notebook()
    nb.cells += exercise_cells("more", nb.cells[5].source.replace("runs", "more"), 1)
    write_notebook(course.source_notebook(NAME), nb)
    with pytest.raises(CourseError, match=r"Cannot add or remove cells.*move gradebook\.db away"):
        release.register_assignment(load_course(course.root), NAME)


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("assignment", ["ch2_spark", "ch3_dask", "ch4_training"])
def test_the_checked_in_release_is_up_to_date(assignment, language):
    course = load_course(REPOSITORY)
    compiled = release.compile_release(course, assignment, language)
    assert release.differing_files(course, compiled) == [], "run `shardwork release`"


@pytest.mark.parametrize("assignment", ["ch2_spark", "ch3_dask", "ch4_training"])
def test_the_checked_in_release_gives_nothing_away(assignment):
    course = load_course(REPOSITORY)
    secrets = collect_secrets(course, assignment)
    assert secrets.pieces
    for language in course.config.languages:
        folder = release.release_folder(course, assignment, language)
        assert folder.is_dir()
        assert find_leaks(secrets, tree_of(folder)) == []


def test_every_assignment_of_the_course_is_held_by_the_two_tests_above():
    names = [assignment.name for assignment in load_course(REPOSITORY).config.assignments]
    assert names == ["ch2_spark", "ch3_dask", "ch4_training"]
    for name in names:
        load_source(load_course(REPOSITORY), name)
