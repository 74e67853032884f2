"""`lab.spark()` on a standalone cluster: master and worker are processes of this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shardwork import lab
from shardwork.errors import MachineError
from shardwork.java import find_java
from shardwork.spark_archive import spark_home

pytestmark = [pytest.mark.functional, pytest.mark.usefixtures("no_leaks")]

START_S = 120.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def master(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A standalone master and a worker with two cores; the session is told of them."""
    try:
        java = find_java()
    except MachineError as error:
        pytest.skip(str(error))
    lab.stop()
    home, port, pages = spark_home(), free_port(), str(free_port())
    address = f"spark://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ, "SPARK_HOME": str(home), "JAVA_HOME": str(java.path),
            "SPARK_WORKER_DIR": f"{folder}/work", "SPARK_LOCAL_DIRS": folder,
            "SPARK_DAEMON_MEMORY": "256m",
            "SPARK_DAEMON_JAVA_OPTS": "-XX:+UseSerialGC -XX:-UsePerfData -XX:-UseContainerSupport",
        }  # fmt: skip
        deploy = "org.apache.spark.deploy"
        commands = (
            [f"{deploy}.master.Master", "--host", "127.0.0.1", "--port", str(port),
             "--webui-port", pages],
            [f"{deploy}.worker.Worker", "--host", "127.0.0.1", "--cores", "2", "--memory", "1g",
             "--webui-port", str(free_port()), address],
        )  # fmt: skip
        started = [
            subprocess.Popen(
                [home / "bin" / "spark-class", *command], env=environment,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            for command in commands
        ]  # fmt: skip
        monkeypatch.setenv("SHARDWORK_SPARK_MASTER", address)
        monkeypatch.setenv("SHARDWORK_HOST", "127.0.0.1")
        try:
            _wait_for(port)
            yield address
        finally:
            lab.stop()
            for process in started:
                process.terminate()
            for process in started:
                process.wait(30)


def _wait_for(port: int) -> None:
    until = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            assert time.monotonic() < until
            time.sleep(0.2)


def test_jobs_run_in_the_executor_of_another_process_and_files_are_shared(master: str) -> None:
    spark = lab.spark()
    context = spark.sparkContext
    assert context.master == master
    pairs = context.parallelize([(i % 3, i) for i in range(30)], 4)
    assert dict(pairs.reduceByKey(lambda a, b: a + b).collect()) == {0: 135, 1: 145, 2: 155}
    executors = context._jsc.sc().getExecutorMemoryStatus().size() - 1  # the driver is listed, too
    assert executors == 1
    folder = Path(tempfile.mkdtemp())
    path = (folder / "rows").as_uri()
    spark.range(100).write.parquet(path)
    assert spark.read.parquet(path).where("id >= 90").count() == 10
    for file in sorted(folder.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    folder.rmdir()
