"""The cluster of compose.yaml, brought up as it stands: the course's notebooks run on it unchanged.

Their references are taken from the instructor's notebooks, which run whole: lessons, examples,
answers and public checks.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import nbformat
import pytest

from tests.docker.conftest import PROJECT, REPOSITORY, docker

pytestmark = pytest.mark.integration

NODES = {"spark-worker-1", "spark-worker-2"}
UP_S = 240
CHAPTERS = ("ch2_spark", "ch3_dask", "ch4_training")

WHERE = """
import json, socket
from shardwork import lab
def executors():
    hosts = lab.spark().sparkContext.parallelize(range(40), 40)
    return sorted(set(hosts.map(lambda _: socket.gethostname()).collect()))
def workers():
    client = lab.dask_client()
    client.wait_for_workers(2)
    return sorted(set(client.run(socket.gethostname).values()))
def ranks(rank, world):
    import torch, torch.distributed as dist
    value = torch.tensor([float(rank)])
    dist.all_reduce(value)
    return socket.gethostname(), value.item()
print(json.dumps({"executors": executors(), "workers": workers(),
                  "ranks": lab.run_ranks(ranks, 3)}))
lab.stop()
"""


@pytest.fixture(scope="module")
def ports() -> dict[str, str]:
    """Ports that are free, by the setting that names them."""
    names = ("LAB", "SPARK", "APPLICATION", "DASK")
    held = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    found = {
        f"SHARDWORK_{n}_PORT": str(s.getsockname()[1]) for n, s in zip(names, held, strict=True)
    }
    for server in held:
        server.close()
    return found


@pytest.fixture(scope="module")
def cluster(
    images: object, compose: Callable[..., str], ports: dict[str, str]
) -> Iterator[Callable[..., str]]:
    """The cluster, up and well; the function runs a command in its lab. It is taken down."""
    settings = {"SHARDWORK_LAB_TOKEN": "for-the-test", "SHARDWORK_LANGUAGE": "ja", **ports}
    try:
        compose("up", "--detach", "--no-build", "lab", limit_s=UP_S, **settings)
        names = docker("ps", "--filter", f"label=com.docker.compose.project={PROJECT}",
                       "--format", "{{.Names}}").split()  # fmt: skip
        assert len(names) == 9
        _wait_until_well(names)
        (lab,) = (name for name in names if "lab" in name)

        def run(*command: str, given: str | None = None, limit_s: float = 300) -> str:
            done = subprocess.run(
                ["docker", "exec", "-i", lab, *command], input=given, capture_output=True,
                text=True, timeout=limit_s, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
            return done.stdout

        yield run
    finally:
        compose("down", "--volumes", "--timeout", "3", **settings)
        ours = ("--filter", f"label=com.docker.compose.project={PROJECT}")
        left = {
            "containers": docker("ps", "--all", "--quiet", *ours),
            "networks": docker("network", "ls", "--quiet", *ours),
            "volumes": docker("volume", "ls", "--quiet", *ours),
        }
        assert left == {"containers": "", "networks": "", "volumes": ""}


def _wait_until_well(names: list[str]) -> None:
    until = time.monotonic() + UP_S
    form = "{{.Name}} {{.State.Health.Status}}"
    while True:
        said = docker("inspect", "--format", form, *names).splitlines()
        ill = [line for line in said if not line.endswith(" healthy")]
        if not ill:
            return
        assert time.monotonic() < until, ill
        time.sleep(1)


def test_the_lab_finds_executors_workers_and_ranks_in_containers_of_their_own(cluster) -> None:
    seen = json.loads(cluster("python", "-", given=WHERE).splitlines()[-1])
    assert seen == {
        "executors": ["spark-worker-1", "spark-worker-2"],
        "workers": ["dask-worker-1", "dask-worker-2"],
        "ranks": [["ranks-1", 3.0], ["ranks-2", 3.0], ["ranks-1", 3.0]],
    }


def test_a_student_finds_the_release_in_the_chosen_language(cluster) -> None:
    notebook = nbformat.reads(cluster("cat", "ch3_dask/ch3_dask.ipynb"), as_version=4)
    assert notebook.metadata.shardwork.language == "ja"
    assert "BEGIN SOLUTION" not in str(notebook)


def test_pages_can_be_reached_from_this_machine(cluster, ports) -> None:
    pages = {"LAB": "/lab?token=for-the-test", "SPARK": "/", "DASK": "/status"}
    for name, path in pages.items():
        address = f"http://127.0.0.1:{ports[f'SHARDWORK_{name}_PORT']}{path}"
        with urllib.request.urlopen(address, timeout=30) as page:
            assert page.status == 200, address
    with pytest.raises(urllib.error.HTTPError, match="403"):  # and Jupyter not without its token
        urllib.request.urlopen(f"http://127.0.0.1:{ports['SHARDWORK_LAB_PORT']}/api/contents")


def test_nothing_of_the_cluster_reaches_the_outside(cluster, compose) -> None:
    """Not a worker, on the internal network, nor the lab, whose other one does not masquerade."""
    look = "import socket; socket.create_connection(('1.1.1.1', 53), 3)"
    for name in ("lab", "spark-worker-1", "ranks-2"):
        container = docker("ps", "--quiet", "--filter", f"label=com.docker.compose.service={name}",
                           "--filter", f"label=com.docker.compose.project={PROJECT}")  # fmt: skip
        done = subprocess.run(
            ["docker", "exec", container.strip(), "python", "-c", look],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 1, name
        assert "timed out" in done.stderr or "unreachable" in done.stderr


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_notebook_of_a_chapter_runs_unchanged_with_its_reference(cluster, chapter: str) -> None:
    source = REPOSITORY / "source" / chapter
    packed = subprocess.run(["tar", "-C", source, "-c", "."], capture_output=True, check=True)
    folder = f"reference/{chapter}"
    cluster("mkdir", "-p", folder)
    lab = docker("ps", "--quiet", "--filter", "label=com.docker.compose.service=lab",
                 "--filter", f"label=com.docker.compose.project={PROJECT}").strip()  # fmt: skip
    subprocess.run(
        ["docker", "exec", "-i", lab, "tar", "-C", folder, "-x"], input=packed.stdout, check=True
    )
    ran = cluster(
        "jupyter", "nbconvert", "--to", "notebook", "--execute", "--stdout", "--log-level=ERROR",
        "--ExecutePreprocessor.timeout=300", f"{folder}/{chapter}.ipynb", limit_s=900,
    )  # fmt: skip
    checked = 0
    for cell in nbformat.reads(ran, as_version=4).cells:
        if cell.cell_type == "code" and "grader.check(" in cell.source:
            shown = str(cell.outputs)
            assert "passed" in shown, (cell.id, shown)
            assert "failed" not in shown.lower(), (cell.id, shown)
            checked += 1
    assert checked >= 1
