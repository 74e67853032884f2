"""`shardwork collect`, called as the console script calls it, then ingest of what it laid out."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import nbformat
import pytest

from shardwork.command import main
from shardwork.course import Course
from shardwork.errors import ExitCode
from shardwork.ingest import ingest
from tests.tiny_course import NAME, RIGHT, answered, make_tiny_course

pytestmark = pytest.mark.functional

GOOD = nbformat.writes(answered(RIGHT))


@pytest.fixture
def course(tmp_path: Path) -> Course:
    return make_tiny_course(tmp_path / "course")


@pytest.fixture
def run(course: Course, capsys: pytest.CaptureFixture[str]):
    """Run `shardwork --course <tiny course> collect ...`; return exit status, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["--course", str(course.root), "collect", *map(str, arguments)])
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, said.out, said.err

    return call


def download(course: Course, files: dict[str, str]) -> Path:
    path = course.root / "submissions.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def test_a_download_is_collected_and_can_be_taken_in(course, run) -> None:
    path = download(course, {f"satoyui_101_9001_{NAME}.ipynb": GOOD})
    roster = course.root / "roster.csv"
    roster.write_text("id,student\n101,sato-yui\n")
    status, out, err = run(NAME, path, "--roster", roster)
    assert (status, err) == (ExitCode.DONE, "")
    assert "sato-yui" in out
    assert "1 new, 0 replaced, 0 unchanged, 0 kept, 0 set aside." in out
    assert ingest(course, course.assignment(NAME), "sato-yui").notebook is not None
    assert "1 unchanged" in run(NAME, path, "--roster", roster)[1]


def test_what_is_set_aside_is_shown_with_its_reason_and_the_exit_status_is_one(course, run) -> None:
    path = download(course, {"notes\x1b[31m.txt": "", f"moriren_102_9002_{NAME}.ipynb": GOOD})
    status, out, _ = run(NAME, path)
    assert status == ExitCode.FINDINGS
    assert "set aside" in out
    assert "\x1b" not in out
    assert (course.submitted / "102" / NAME / f"{NAME}.ipynb").read_text() == GOOD


def test_json_is_one_document_with_its_schema(course, run) -> None:
    path = download(course, {"evil_7_8_9_10_x.ipynb": GOOD, f"b_102_9002_{NAME}.ipynb": GOOD})
    status, out, err = run(NAME, path, "--json", "--dry-run")
    document = json.loads(out)
    assert (status, err) == (ExitCode.FINDINGS, "")
    assert document["schema"] == "shardwork.collect/1"
    assert (document["assignment"], document["lms"], document["dry_run"]) == (NAME, "canvas", True)
    assert [(i["student"], i["state"]) for i in document["items"]] == [
        ("", "set aside"), ("102", "new"),
    ]  # fmt: skip
    assert set(document["items"][0]) == {
        "state", "student", "file", "reason", "late", "submitted_at",
    }  # fmt: skip
    assert not course.submitted.exists()


def test_what_cannot_be_used_is_said_with_its_exit_status(course, run) -> None:
    path = download(course, {})
    assert run("ch9", path)[0] == ExitCode.NOTHING_MATCHED
    assert run(NAME, path)[0] == ExitCode.NOTHING_MATCHED
    assert run(NAME, course.root / "none.zip")[0] == ExitCode.USAGE
    path.write_bytes(b"PK\x03\x04")
    status, _, err = run(NAME, path)
    assert status == ExitCode.USAGE
    assert "is no download of an LMS: it is truncated" in err
    path = download(course, {"A_1_assignsubmission_file_/x.ipynb": GOOD})
    assert "give it with --roster" in run(NAME, path)[2]
