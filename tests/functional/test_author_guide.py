"""docs/author.md is a course that works: it is built from the page, proven and released."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from shardwork.course import Isolation
from shardwork.sandbox.isolation import problem

GUIDE = Path(__file__).parents[2] / "docs" / "author.md"
FILE = re.compile(r"^`([^`\n]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""A path in backquotes and a colon, alone on a line; then the file, fenced."""

pytestmark = pytest.mark.functional


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The walk-through's files, and the notebook that its script makes."""
    root = tmp_path_factory.mktemp("example")
    for name, text in FILE.findall(GUIDE.read_text(encoding="utf-8")):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    done = subprocess.run([sys.executable, "make_notebook.py"], cwd=root, check=False)
    assert done.returncode == 0
    return root


def shardwork(course: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "shardwork", *arguments]
    return subprocess.run(command, cwd=course, capture_output=True, text=True, check=False)


def test_the_graders_of_the_guide_are_proven(course: Path) -> None:
    level = Isolation.NONE if problem() else Isolation.BUBBLEWRAP
    done = shardwork(course, "verify", "--seeds", "1", "--json", "--isolation", level.value)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(done.stdout)["rows"]
    # As the table in step 7 has it.
    assert {row["name"]: row["cells"][0]["points"] for row in rows} == {
        "reference": 4,
        "alternate_accumulate": 4,
        "starter": 0,
        "MAX_FROM_ZERO": 3,
        "NEIGHBOURS_ONLY": 3,
        "READS_AGAIN": 2,
    }


def test_the_course_of_the_guide_is_translated_and_released(course: Path) -> None:
    done = shardwork(course, "translate")
    assert done.returncode == 0, done.stderr
    assert (course / "locale/ja/LC_MESSAGES/ch0_streams.po").is_file()
    done = shardwork(course, "release")
    assert done.returncode == 0, done.stderr
    assert done.stdout in GUIDE.read_text(encoding="utf-8")  # what step 9 shows
    for language in ("en", "ja"):
        notebook = course / "release" / language / "ch0_streams" / "ch0_streams.ipynb"
        assert "largest.append" not in notebook.read_text(encoding="utf-8")
