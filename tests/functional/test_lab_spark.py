"""`lab.spark`: one real session, its settings, and that nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from shardwork import lab

pytestmark = pytest.mark.functional


@pytest.fixture(scope="module", autouse=True)
def own_temporary_folder() -> Iterator[None]:
    """Somebody else's session may begin or end meanwhile."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", folder)
        patch.setenv("TMPDIR", folder)
        yield


@pytest.fixture(scope="module")
def spark(own_temporary_folder: None) -> Iterator[Any]:
    files, processes = _spark_files(), _java_children()
    yield lab.spark()
    lab.stop()
    lab.stop()
    assert _java_children() == processes
    assert _spark_files() == files


def _java_children() -> list[psutil.Process]:
    return [p for p in psutil.Process().children(recursive=True) if p.name() == "java"]


def _spark_files() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("shardwork-spark-*"))


def test_a_second_call_gives_the_same_session(spark: Any) -> None:
    assert lab.spark() is spark


def test_the_settings_that_change_plans_are_pinned(spark: Any) -> None:
    names = ["spark.sql.shuffle.partitions", "spark.sql.adaptive.enabled", "spark.ui.enabled"]
    assert [spark.conf.get(name) for name in names] == ["4", "false", "false"]
    assert spark.conf.get("spark.sql.session.timeZone") == "UTC"
    assert spark.sparkContext.master == "local[2]"


def test_python_functions_run_in_the_interpreter_of_the_notebook(spark: Any) -> None:
    def interpreter(_: Any) -> str:
        import sys

        return sys.executable

    found = spark.sparkContext.parallelize(range(2), 2).map(interpreter).distinct().collect()
    assert found == [sys.executable]


def test_a_worker_s_collections_leave_out_what_it_has_imported(spark: Any) -> None:
    def objects(_: Any) -> Iterator[int]:
        import gc

        yield len(gc.get_objects())

    # An interpreter with pyspark.worker alone has some 30,000.
    assert max(spark.sparkContext.parallelize(range(2), 2).mapPartitions(objects).collect()) < 5000


def test_a_shuffle_gives_the_sums_of_a_hand_calculation(spark: Any) -> None:
    pairs = spark.sparkContext.parallelize(range(10), 2).map(lambda x: (x % 2, x))
    assert dict(pairs.reduceByKey(lambda a, b: a + b).collect()) == {0: 20, 1: 25}


def test_the_notebooks_environment_is_left_as_it_was(spark: Any) -> None:
    assert "SPARK_CONF_DIR" not in os.environ
    assert "PYSPARK_PYTHON" not in os.environ


def test_a_session_that_was_stopped_is_replaced_and_stop_ends_its_java() -> None:
    code = (
        "import psutil\n"
        "from shardwork import lab\n"
        "first = lab.spark()\n"
        "first.stop()\n"
        "second = lab.spark()\n"
        "assert second is not first\n"
        "print(second.range(4).count())\n"
        "lab.stop()\n"
        "print([p.name() for p in psutil.Process().children(recursive=True)])\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "TMPDIR": folder, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        left = list(Path(folder).iterdir())
    assert done.stdout.split("\n")[:2] == ["4", "[]"]
    assert left == []
    assert "WARN " not in done.stderr
