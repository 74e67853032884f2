"""A session with a class archive: a real Java that maps one, and one that cannot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shardwork import spark_archive
from shardwork.course import Assignment, Cluster, Exercise
from shardwork.java import find_java
from shardwork.lab import spark_session, spark_training
from shardwork.sandbox import isolation
from shardwork.spark_archive import CLASSES, JVM_OPTIONS, LAUNCH, VARIABLE, Launch

pytestmark = pytest.mark.functional
REPOSITORY = Path(__file__).resolve().parents[2]

# Prints what the session's Java says of itself, and what a job gives.
ASK = """
import json
from pathlib import Path
import psutil
from shardwork import lab
from shardwork.lab import spark_session
spark = lab.spark()
java = spark.sparkContext._jvm.java.lang
process = spark_session._java_process()
def package(_):
    import pyspark
    return pyspark.__file__
print(json.dumps({
    "sum": spark.sparkContext.parallelize(range(10), 2).map(lambda x: 2 * x).sum(),
    "rows": spark.range(7).groupBy().sum("id").collect()[0][0],
    "options": [str(o) for o in java.management.ManagementFactory.getRuntimeMXBean()
                .getInputArguments()],
    "class_path": str(java.System.getProperty("java.class.path")).split(":"),
    "hash_seed": java.System.getenv("PYTHONHASHSEED"),
    "memory": str(java.Runtime.getRuntime().maxMemory() >> 20),
    "maps": [m.path for m in psutil.Process(process.pid).memory_maps(grouped=False)],
    "package": spark.sparkContext.parallelize([0], 1).map(package).collect()[0],
    "plan": spark._jvm.PythonSQLUtils.explainString(
        spark.range(9).groupBy("id").count()._jdf.queryExecution(), "simple"),
}))
lab.stop()
"""


def ask(archive: Path | None) -> dict[str, Any]:
    """Start a session in a process of its own and return what it prints, and its stderr."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "TMPDIR": folder, "XDG_CACHE_HOME": f"{folder}/no-cache",
                       "PYTHONPATH": str(REPOSITORY)}  # fmt: skip
        environment.pop(VARIABLE, None)
        if archive is not None:
            environment[VARIABLE] = str(archive)
        command = [sys.executable, "-W", "error", "-c", ASK]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=True
        )
        assert list(Path(folder).iterdir()) == []
    printed = done.stdout.splitlines()
    assert len(printed) == 1, printed  # of Java's own there is nothing
    return {**json.loads(printed[0]), "stderr": done.stderr}


@pytest.fixture(scope="module")
def launch(tmp_path_factory: pytest.TempPathFactory) -> Launch:
    """How Spark's launcher starts Java here, told by one that it has started."""
    class_list = tmp_path_factory.mktemp("recording") / "classes.list"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("JAVA_HOME", str(find_java().path))
        spark = spark_session.start_recording(class_list)
        try:
            found = spark_training._launch_of(spark)
        finally:
            spark_session.stop_spark()
    assert "org/apache/spark/SparkContext" in class_list.read_text().replace(".", "/")
    return found


@pytest.fixture(scope="module")
def without() -> dict[str, Any]:
    return ask(None)


@pytest.fixture
def rubbish(launch: Launch, tmp_path: Path) -> Iterator[Path]:
    """An archive that holds rubbish, whole by its size."""
    size_bytes = 1 << 20
    (tmp_path / CLASSES).write_bytes(b"\x5a" * size_bytes)
    written = msgspec.structs.replace(launch, size_bytes=size_bytes)
    (tmp_path / LAUNCH).write_bytes(msgspec.json.encode(written))
    return tmp_path


def test_the_launch_is_what_the_launcher_does(launch: Launch, without: dict[str, Any]) -> None:
    jars = [Path(p).name for p in without["class_path"] if p.endswith(".jar")]
    assert [Path(p).name for p in launch.class_path] == list(dict.fromkeys(jars))
    assert all(Path(path).is_file() for path in launch.class_path)
    assert set(launch.options) < set(without["options"])
    assert not set(launch.options) & set(JVM_OPTIONS)
    assert launch.environment["PYTHONHASHSEED"] == "0"


def test_without_an_archive_the_session_has_our_options(without: dict[str, Any]) -> None:
    assert set(JVM_OPTIONS) <= set(without["options"])
    assert (without["sum"], without["rows"]) == (90, 21)
    assert not any("SharedArchiveFile" in option for option in without["options"])


def test_python_workers_import_the_package_and_not_the_copy_in_sparks_home(
    without: dict[str, Any],
) -> None:
    assert Path(without["package"]).parent == spark_archive.spark_home()


def test_rubbish_is_survived_in_silence_and_the_session_is_the_same(
    rubbish: Path, without: dict[str, Any]
) -> None:
    found = ask(rubbish)
    added = set(found["options"]) - set(without["options"])
    assert f"-XX:SharedArchiveFile={rubbish / CLASSES}" in added
    assert set(without["options"]) - {o for o in without["options"] if "tmpdir" in o} <= set(
        found["options"]
    )
    for name in ("sum", "rows", "hash_seed", "memory", "package", "plan"):
        assert found[name] == without[name], name
    assert found["stderr"] == without["stderr"]


def test_an_archive_that_java_dies_of_is_survived(
    rubbish: Path, launch: Launch, tmp_path: Path
) -> None:
    bad = msgspec.structs.replace(launch, options=("-XX:NoSuchOption",), size_bytes=1 << 20)
    (rubbish / LAUNCH).write_bytes(msgspec.json.encode(bad))
    found = ask(rubbish)
    assert (found["sum"], found["rows"]) == (90, 21)
    assert not any("SharedArchiveFile" in option for option in found["options"])


def test_the_archive_of_this_machine_is_mapped(without: dict[str, Any]) -> None:
    archive = spark_archive.find_archive(find_java())
    if archive is None:
        pytest.skip("no class archive here: python -m shardwork.lab.spark_training makes it")
    found = ask(archive.folder)
    assert str(archive.classes) in found["maps"]
    for name in ("sum", "rows", "hash_seed", "memory", "package", "plan"):
        assert found[name] == without[name], name
    assert found["stderr"] == without["stderr"]


def test_a_sandbox_is_given_the_archive_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    exercise = Exercise("key_stats", 1, 5)
    spark = Assignment("ch0", "Spark", (exercise,), cluster=Cluster(spark_master="local[2]"))
    archive = spark_archive.Archive(Path("/cache/key"), Launch("/java", (), (), {}))
    monkeypatch.setattr(spark_archive, "find_archive", lambda java: archive)
    given = isolation.java_for(spark)
    assert given.environment[VARIABLE] == "/cache/key"
    assert archive.folder in given.folders  # all of these are bound read-only
    monkeypatch.setattr(spark_archive, "find_archive", lambda java: None)
    assert VARIABLE not in isolation.java_for(spark).environment
