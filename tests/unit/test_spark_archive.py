"""The class archive of Spark: when it is found, when it is not used, how it appears and goes."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

import msgspec
import pytest

from shardwork import spark_archive
from shardwork.errors import MachineError
from shardwork.java import JavaHome
from shardwork.lab import spark_training
from shardwork.lab.spark_training import provide_archive, sweep
from shardwork.spark_archive import CLASSES, LAUNCH, Launch, find_archive, given_archive

pytestmark = pytest.mark.unit


@pytest.fixture
def jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins for Spark's jars, and a cache of the test's own."""
    folder = tmp_path / "jars"
    folder.mkdir()
    for name in ("spark-core.jar", "scala-library.jar"):
        (folder / name).write_text(name)
    monkeypatch.setattr(spark_archive, "spark_home", lambda: tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(spark_archive.VARIABLE, raising=False)
    return folder


@pytest.fixture
def java(tmp_path: Path) -> JavaHome:
    home = tmp_path / "java"
    (home / "lib" / "server").mkdir(parents=True)
    (home / "lib" / "server" / "libjvm.so").write_text("one build")
    (home / "release").write_text('JAVA_VERSION="17.0.15"\n')
    return JavaHome(home, 17, "JAVA_HOME", home)


def put(folder: Path, java: JavaHome, jars: Path, data: bytes = b"archive") -> Path:
    """Lay down an archive as a maker would."""
    folder.mkdir(parents=True)
    launch = Launch(str(java.path), (), (str(jars / "spark-core.jar"),), {}, len(data))
    (folder / LAUNCH).write_bytes(msgspec.json.encode(launch))
    (folder / CLASSES).write_bytes(data)
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o755)
    return folder


def test_there_is_none_until_one_is_made(jars: Path, java: JavaHome) -> None:
    assert find_archive(java) is None
    folder = put(spark_archive.archive_folder(java), java, jars)
    found = find_archive(java)
    assert found is not None
    assert found.folder == folder
    assert f"-XX:SharedArchiveFile={folder / CLASSES}" in found.options
    assert "-Xshare:auto" in found.options


def test_another_jar_another_java_or_a_newer_build_have_another_archive(
    jars: Path, java: JavaHome, tmp_path: Path
) -> None:
    before = spark_archive.archive_folder(java)
    (jars / "hive.jar").touch()
    with_jar = spark_archive.archive_folder(java)
    (java.runtime / "release").write_text('JAVA_VERSION="17.0.16"\n')
    newer = spark_archive.archive_folder(java)
    other = JavaHome(tmp_path / "other", 17, "PATH", tmp_path / "other")
    assert len({before, with_jar, newer, spark_archive.archive_folder(other)}) == 4


def test_one_that_is_cut_short_or_has_no_launch_is_not_used(jars: Path, java: JavaHome) -> None:
    folder = put(spark_archive.archive_folder(java), java, jars)
    (folder / CLASSES).chmod(0o644)
    (folder / CLASSES).write_bytes(b"arch")
    assert find_archive(java) is None
    (folder / CLASSES).write_bytes(b"archive")
    assert find_archive(java) is not None
    (folder / LAUNCH).chmod(0o644)
    (folder / LAUNCH).write_bytes(b'{"java_home": 1}')
    assert find_archive(java) is None


@pytest.mark.parametrize("name", ["", CLASSES, LAUNCH])
def test_one_that_others_may_write_to_is_not_used(jars: Path, java: JavaHome, name: str) -> None:
    folder = put(spark_archive.archive_folder(java), java, jars)
    path = folder / name
    path.chmod(path.stat().st_mode | 0o020)
    assert find_archive(java) is None
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(spark_training, "_make", lambda java, folder: None)
        with pytest.raises(MachineError, match="others than you may write"):
            provide_archive(java)


def test_one_of_another_user_is_not_used(
    jars: Path, java: JavaHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(spark_archive.archive_folder(java), java, jars)
    owner = os.geteuid()
    if owner == 0:  # root's own is trusted by everybody
        for path in (folder := spark_archive.archive_folder(java), *folder.iterdir()):
            os.chown(path, 4321, 4321)
        assert find_archive(java) is None
    else:
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
        assert find_archive(java) is None


def test_a_sandbox_uses_the_one_that_it_is_given(jars: Path, java: JavaHome) -> None:
    assert given_archive({}) is None
    assert given_archive({spark_archive.VARIABLE: "/nowhere"}) is None
    folder = put(spark_archive.archive_folder(java), java, jars)
    found = given_archive({spark_archive.VARIABLE: str(folder)})
    assert found is not None
    assert found.folder == folder


def test_two_makers_at_once_make_one(
    jars: Path, java: JavaHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end, made = threading.Event(), threading.Event(), []

    def make(java: JavaHome, folder: Path) -> None:
        made.append(folder)
        begun.set()
        assert may_end.wait(30)
        put(folder, java, jars)

    monkeypatch.setattr(spark_training, "_make", make)
    found: list[object] = []
    makers = [threading.Thread(target=lambda: found.append(provide_archive(java))) for _ in "ab"]
    makers[0].start()
    assert begun.wait(30)
    makers[1].start()
    assert find_archive(java) is None
    may_end.set()
    for maker in makers:
        maker.join(30)
    assert len(made) == 1
    assert found == [find_archive(java)] * 2


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_maker_that_fails_leaves_nothing(
    jars: Path, java: JavaHome, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    calls = []

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[bytes]:
        calls.append(command)
        folder = Path(str(options["cwd"]))
        if len(calls) == step:
            return subprocess.CompletedProcess(command, 134, b"", b"SIGSEGV")
        if len(calls) == 1:
            launch = Launch(str(java.path), (), (), {})
            (folder / LAUNCH).write_bytes(msgspec.json.encode(launch))
            (folder / "classes.list").touch()
        else:
            (folder / CLASSES).write_bytes(b"archive")
        return subprocess.CompletedProcess(command, 0, b"", b"")

    monkeypatch.setattr(spark_training.subprocess, "run", run)
    with pytest.raises(MachineError, match="SIGSEGV"):
        provide_archive(java)
    assert [p.name for p in spark_archive.archive_root().iterdir()] == ["lock"]
    assert find_archive(java) is None


def test_stale_archives_and_what_killed_makers_left_are_swept(
    jars: Path, java: JavaHome, tmp_path: Path
) -> None:
    fresh = put(spark_archive.archive_folder(java), java, jars)
    root = fresh.parent
    put(root / "older-build", java, jars)
    (root / "partial-x7").mkdir()
    (root / "partial-x7" / CLASSES).touch()
    other = JavaHome(tmp_path / "other", 17, "PATH", tmp_path / "other")
    other.path.mkdir()
    put(root / "of-another-java", other, jars)
    put(root / "jars-gone", other, tmp_path / "gone")
    forgotten = put(root / "forgotten", other, jars)
    long_ago = time.time() - 31 * 86_400
    os.utime(forgotten / LAUNCH, (long_ago, long_ago))
    sweep(fresh)
    assert {p.name for p in root.iterdir()} == {fresh.name, "of-another-java"}


def test_without_a_place_for_a_cache_there_is_none_and_the_maker_says_why(
    jars: Path, java: JavaHome, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert find_archive(java) is None
    with pytest.raises(MachineError, match="could not be made"):
        provide_archive(java)
