"""The command line: exit codes, what goes to stdout and to stderr, and what `--help` costs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

import shardwork.command as command_line
from shardwork import __version__
from shardwork.course import Course
from shardwork.errors import CourseError, ExitCode, MachineError, NothingMatched
from tests.functional.small_course import LESSON, make_small_course, source_notebook, write_notebook

pytestmark = pytest.mark.functional

NAME = "ch0_lists"
TRACKS = (
    "ch0_lists   core: exercises 0, written questions 0, 0 minutes; "
    "full (released): exercises 2, written questions 0, 10 minutes"
)
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def course(tmp_path: Path) -> Course:
    return make_small_course(tmp_path / "course")


@pytest.fixture
def run(course, capfd):
    """Run `shardwork --course <small course> ARGUMENTS`; return exit code, stdout, stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exited:
            command_line.main(["--course", str(course.root), *arguments])
        said = capfd.readouterr()
        assert isinstance(exited.value.code, int)
        return exited.value.code, said.out, said.err

    return call


@pytest.fixture
def failing(monkeypatch):
    """Make `shardwork doctor` raise what it is given, or return it."""

    def install(outcome: object) -> None:
        @click.command()
        def command() -> object:
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        def load(self, ctx, cmd_name):
            return command

        monkeypatch.setattr(command_line.LazyGroup, "get_command", load)

    return install


def add_to_lesson(course: Course, text: str) -> None:
    nb = source_notebook()
    nb.cells[1].source = f"{LESSON.rstrip()}\n\n{text}"
    write_notebook(course.source_notebook(NAME), nb)


# --- the group ------------------------------------------------------------------------------------


def test_help_lists_every_command_and_loads_none_of_them():
    program = (
        "import sys\n"
        "from shardwork.command import main\n"
        "try:\n    main(['--help'])\n"
        "finally:\n    print(*sorted(sys.modules), sep='\\n', file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    for name, line in command_line.COMMANDS.items():
        assert f"  {name}" in done.stdout
        assert line in done.stdout
    loaded = set(done.stderr.split())
    assert "click" in loaded
    ours = {module for module in loaded if module.startswith("shardwork")}
    assert ours == {"shardwork", "shardwork.command", "shardwork.errors"}
    heavy = {"nbformat", "nbgrader", "pyspark", "torch", "dask", "numpy", "rich", "jinja2"}
    assert not loaded & heavy


def test_the_module_runs_as_the_command_does():
    done = subprocess.run(
        [sys.executable, "-m", "shardwork", "--version"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert done.stdout == f"shardwork, version {__version__}\n"


@pytest.mark.parametrize("name", ["release", "translate"])
def test_each_command_explains_itself_outside_a_course(name, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exited:
        command_line.main([name, "--help"])
    assert exited.value.code == 0
    assert capfd.readouterr().out.startswith(f"Usage: shardwork {name} ")


def test_the_course_is_found_from_a_folder_inside_it(course, monkeypatch, capfd):
    monkeypatch.chdir(course.graders / NAME)
    with pytest.raises(SystemExit) as exited:
        command_line.main(["translate", "--dry-run"])
    assert exited.value.code == 0
    assert "locale/ja" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("outcome", "code", "message"),
    [
        (None, 0, ""),
        (ExitCode.FINDINGS, 1, ""),
        (CourseError("The notebook is wrong."), 2, "Error: The notebook is wrong.\n"),
        (MachineError("Java is missing."), 4, "Error: Java is missing.\n"),
        (NothingMatched("No such student."), 5, "Error: No such student.\n"),
        (OSError(28, "No space left on device", "/x/y"), 4, "No space left on device: '/x/y'"),
        (KeyboardInterrupt(), 130, "Error: interrupted."),
        (ValueError("odd"), 3, "Error: internal: ValueError: odd (at test_command_line.py, line"),
    ],
)
def test_the_outcome_of_a_command_becomes_exit_code_and_message(
    run, failing, outcome, code, message
):
    failing(outcome)
    exit_code, out, err = run("doctor")
    assert exit_code == code
    assert out == ""
    assert message in err
    assert "Traceback" not in err
    assert bool(message) == bool(err)


def test_the_traceback_of_an_internal_error_is_shown_when_asked_for(run, failing, monkeypatch):
    monkeypatch.setenv("SHARDWORK_TRACEBACK", "1")
    failing(ValueError("odd"))
    exit_code, _, err = run("doctor")
    assert exit_code == 3
    assert "Traceback (most recent call last)" in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nothing"], 2, "No such command 'nothing'"),
        (["release", "--nothing"], 2, "No such option"),
        (["release", "ch9"], 5, "no assignment 'ch9'; it has: ch0_lists"),
        (["release", "--language", "fr"], 5, "no language 'fr'; it has: en, ja"),
        (["translate", "--language", "en"], 5, "It is written in 'en' and translated into: ja"),
        (["translate", "ch9"], 5, "no assignment 'ch9'; it has: ch0_lists"),
    ],
)
def test_a_wrong_call_is_answered_with_what_is_possible(run, arguments, code, message):
    exit_code, out, err = run(*arguments)
    assert (exit_code, out) == (code, "")
    assert message in err


def test_a_folder_without_a_course_is_named(tmp_path, capfd):
    with pytest.raises(SystemExit) as exited:
        command_line.main(["--course", str(tmp_path), "release"])
    assert exited.value.code == 2
    assert f"{tmp_path} is no course folder" in capfd.readouterr().err


# --- release and translate ------------------------------------------------------------------------


def test_release_writes_every_language_and_counts_its_translations(run, course):
    assert run("release") == (
        0,
        "ch0_lists   en   written\n"
        "ch0_lists   ja   written   6 translated, 7 missing, 0 outdated\n"
        f"{TRACKS}\n",
        "",
    )
    assert run("release", NAME, "--language", "en") == (
        0,
        f"ch0_lists   en   unchanged\n{TRACKS}\n",
        "",
    )
    assert (course.release / "ja" / NAME / "tests/halves.py").is_file()


def test_check_writes_nothing_and_names_what_is_out_of_date(run, course):
    exit_code, out, _ = run("release", "--check", "--language", "en")
    assert exit_code == 1
    assert out == (
        "ch0_lists   en   out of date\n"
        "  release/en/ch0_lists/ch0_lists.ipynb\n"
        "  release/en/ch0_lists/data/table.csv\n"
        "  release/en/ch0_lists/tests/halves.py\n"
    )
    assert not course.release.exists()
    run("release")
    assert run("release", "--check")[0] == 0
    add_to_lesson(course, "One sentence more.")
    exit_code, out, _ = run("release", "--check")
    assert exit_code == 1
    assert out == (
        "ch0_lists   en   out of date\n"
        "  release/en/ch0_lists/ch0_lists.ipynb\n"
        "ch0_lists   ja   out of date   6 translated, 8 missing, 0 outdated\n"
        "  release/ja/ch0_lists/ch0_lists.ipynb\n"
    )


def test_a_leaking_release_is_refused_and_the_old_one_stays(run, course):
    run("release")
    before = (course.release / "en" / NAME / "ch0_lists.ipynb").read_bytes()
    add_to_lesson(course, "Hint: `return items[:middle], items[middle:]`")
    exit_code, out, err = run("release")
    assert exit_code == 1
    assert out == ""
    assert "Leak: release/en/ch0_lists/ch0_lists.ipynb, cell ch0-lesson: the reference" in err
    assert "Leak: release/ja/ch0_lists" in err
    assert "not released" in err
    assert "items[middle:]" not in err
    assert (course.release / "en" / NAME / "ch0_lists.ipynb").read_bytes() == before


def test_a_chapter_that_cannot_be_compiled_keeps_its_old_release_and_the_others_go_on(run, course):
    config = course.root / "course_config.py"
    text = config.read_text()
    second = '{"name": "ch1_missing", "title": "T", "exercises": [{"name": "f", "points": 1, '
    config.write_text(
        text.replace('"assignments": [', f'"assignments": [{second} "minutes": 5}}]}},')
    )
    exit_code, out, err = run("release")
    assert exit_code == 2
    assert err.startswith("Error: ch1_missing: ")
    assert "ch1_missing.ipynb does not exist" in err
    assert "ch0_lists   en   written" in out


def test_translate_updates_the_catalogue_and_counts(run, course):
    path = course.locale / "ja/LC_MESSAGES/ch0_lists.po"
    before = path.read_bytes()
    line = "locale/ja/LC_MESSAGES/ch0_lists.po   6 translated, 7 missing, 0 outdated\n"
    assert run("translate", "--dry-run") == (0, line, "")
    assert path.read_bytes() == before
    assert run("translate", NAME, "--language", "ja") == (0, line, "")
    assert b'msgid "Return a tuple."\nmsgstr ""\n' in path.read_bytes()
