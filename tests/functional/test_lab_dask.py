"""`lab.dask_client`: a real cluster of two processes, and that nothing is left."""

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


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    before = _dask_files()
    yield lab.dask_client()
    lab.stop()
    lab.stop()
    assert _dask_files() == before
    assert [p for p in psutil.Process().children(recursive=True) if _is_worker(p)] == []


def _dask_files() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("*dask-*"))


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


def test_a_second_call_gives_the_same_client(client: Any) -> None:
    assert lab.dask_client() is client


def test_there_are_two_workers_with_one_thread_and_a_process_each(client: Any) -> None:
    assert list(client.nthreads().values()) == [1, 1]
    pids = set(client.run(os.getpid).values())
    assert len(pids | {os.getpid()}) == 3


def test_a_function_of_the_notebook_runs_on_a_worker(client: Any) -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec("def double(x):\n    return 2 * x", namespace)
    assert client.submit(namespace["double"], 21).result() == 42


def test_everything_listens_on_this_machine_alone(client: Any) -> None:
    addresses = [client.scheduler.address, *client.nthreads(), client.dashboard_link]
    assert all("127.0.0.1" in address for address in addresses)


def test_a_script_without_a_main_guard_is_told_so() -> None:
    code = "from shardwork import lab\nlab.dask_client()\n"
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "script.py"
        script.write_text(code)
        environment = {**os.environ, "TMPDIR": folder, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, script], env=environment, capture_output=True, text=True, check=False
        )
    assert done.returncode != 0
    assert 'under `if __name__ == "__main__":`' in done.stderr


def test_an_address_in_the_environment_is_connected_to(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "from shardwork import lab\n"
        "client = lab.dask_client()\n"
        "print(client.scheduler.address, client.cluster)\n"
        "lab.stop()\n"
    )
    environment = {
        **os.environ,
        "SHARDWORK_DASK_SCHEDULER": client.scheduler.address,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [client.scheduler.address, "None"]
    assert client.submit(sum, [1, 2]).result() == 3
