"""The sandbox, with a real bubblewrap: what is in it, what is not, and that nothing outlives it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from shardwork.course import Isolation
from shardwork.errors import ExitCode, MachineError
from shardwork.sandbox import bubblewrap, isolation, watchdog
from shardwork.sandbox.bubblewrap import Room
from shardwork.sandbox.patience import Patience

WHY_NOT = isolation.bubblewrap_problem()
pytestmark = [pytest.mark.functional, pytest.mark.usefixtures("no_leaks")]
needs_bubblewrap = pytest.mark.skipif(WHY_NOT is not None, reason=f"bubblewrap: {WHY_NOT}")

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": bubblewrap.HOME, "GIVEN": "yes"}


@pytest.fixture
def inside(tmp_path: Path) -> Callable[..., Any]:
    """Run Python in a sandbox; return what it binds to `answer`, which must be JSON."""

    def run(code: str, room: Room | None = None) -> Any:
        room = room or Room(environment=ENVIRONMENT)
        scratch = tmp_path / "scratch"
        scratch.mkdir(exist_ok=True)
        program = textwrap.dedent(code) + "\nimport json\nprint(json.dumps(answer))\n"
        done = subprocess.run(
            [*bubblewrap.command(room, scratch), sys.executable, "-I", "-c", program],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


# the network --------------------------------------------------------------------------------------


@needs_bubblewrap
def test_the_only_network_interface_is_loopback(inside) -> None:
    answer = inside(
        """
        import socket
        from pathlib import Path
        routes = Path("/proc/net/route").read_text().splitlines()[1:]
        answer = [[name for _, name in socket.if_nameindex()], routes]
        """
    )
    assert answer == [["lo"], []]


@needs_bubblewrap
def test_a_service_on_the_machines_loopback_cannot_be_reached(inside) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        answer = inside(
            f"""
            import socket
            try:
                socket.create_connection(("127.0.0.1", {port}), timeout=5).close()
                answer = "connected"
            except ConnectionRefusedError:
                answer = "refused"
            """
        )
    assert answer == "refused"


@needs_bubblewrap
def test_programs_in_the_sandbox_reach_each_other_over_loopback(inside) -> None:
    answer = inside(
        """
        import socket
        with socket.create_server(("localhost", 0)) as server:
            with socket.create_connection(server.getsockname(), timeout=5) as client:
                client.sendall(b"hello")
                answer = server.accept()[0].recv(5).decode()
        """
    )
    assert answer == "hello"


# files --------------------------------------------------------------------------------------------


@needs_bubblewrap
def test_course_home_and_the_callers_temporary_files_are_not_there(inside, tmp_path: Path) -> None:
    secret = tmp_path / "graders" / "test_secret.py"
    secret.parent.mkdir()
    secret.write_text("expected = 42")
    outside = [secret, REPOSITORY / "graders", REPOSITORY / "source", REPOSITORY / ".git"]
    outside += [
        REPOSITORY / "tests",
        Path("/etc/shadow"),
        Path("/var"),
        Path("/run"),
    ]
    assert secret.is_file()
    answer = inside(
        f"""
        import os
        answer = [path for path in {[str(path) for path in outside]} if os.path.exists(path)]
        """
    )
    assert answer == []


@needs_bubblewrap
def test_home_is_empty_but_for_the_working_folder(inside) -> None:
    answer = inside(
        "import os; answer = [os.getcwd(), os.listdir('/home'), os.listdir('/home/student')]"
    )
    assert answer == ["/home/student/work", ["student"], ["work"]]


WRITES = """
import os
answer = []
for folder in {folders}:
    try:
        open(folder + "/sw-planted", "w").close()
        answer.append(folder)
    except OSError:
        pass
"""


@needs_bubblewrap
def test_the_system_and_the_packages_are_read_only(inside) -> None:
    folders = ["/usr", "/usr/lib", "/proc", sys.prefix, str(Path(isolation.__file__).parent)]
    assert inside(WRITES.format(folders=folders)) == []
    assert not any(Path(folder, "sw-planted").exists() for folder in folders)


@needs_bubblewrap
@pytest.mark.parametrize("folder", ["/", "/etc", "/dev"])
def test_nothing_can_be_written_where_no_bound_holds(inside, folder: str) -> None:
    assert inside(WRITES.format(folders=[folder])) == []


@needs_bubblewrap
@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm", "/home/student/work"])
def test_what_may_be_written_is_private_and_bounded(inside, folder: str) -> None:
    room = Room(environment=ENVIRONMENT, scratch_mb=16, max_file_mb=64)
    answer = inside(
        f"""
        import errno, os
        path = "{folder}/sw-test-of-the-sandbox"
        written = 0
        with open(path, "wb", buffering=0) as file:
            try:
                while written < 40:
                    written += file.write(bytes(1 << 20)) >> 20
                answer = "no bound"
            except OSError as error:
                answer = [errno.errorcode[error.errno], 12 <= written <= 16]
        """,
        room,
    )
    assert answer == ["ENOSPC", True]
    assert not Path(f"{folder}/sw-test-of-the-sandbox").exists()


@needs_bubblewrap
def test_one_file_is_bounded(inside) -> None:
    room = Room(environment=ENVIRONMENT, scratch_mb=64, max_file_mb=2)
    answer = inside(
        """
        import errno, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with open("/tmp/large", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 20))
            except OSError as error:
                answer = [errno.errorcode[error.errno], file.tell()]
        """,
        room,
    )
    assert answer == ["EFBIG", 2 << 20]


@needs_bubblewrap
def test_a_folder_that_was_given_is_readable_and_not_writable(inside, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "table.csv").write_text("a,b\n")
    room = Room(environment=ENVIRONMENT, readable={f"{bubblewrap.WORK}/data": data})
    answer = inside(
        """
        import os
        try:
            open("data/more.csv", "w")
            written = True
        except OSError:
            written = False
        answer = [open("data/table.csv").read(), written]
        """,
        room,
    )
    assert answer == ["a,b\n", False]


# the process --------------------------------------------------------------------------------------


@needs_bubblewrap
def test_the_environment_is_the_one_given_and_nothing_of_the_callers(inside, monkeypatch) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    environment = inside("import os; answer = dict(os.environ)")
    added_by_programs = {"PWD", "LC_CTYPE"}
    assert {k: v for k, v in environment.items() if k not in added_by_programs} == ENVIRONMENT


@needs_bubblewrap
def test_a_program_is_nobody_in_particular_and_cannot_become_more(inside) -> None:
    answer = inside(
        """
        import os
        lines = open("/proc/self/status").read().splitlines()
        status = dict(line.split(":\\t", 1) for line in lines if ":\\t" in line)
        answer = [os.getuid(), os.getgid(), int(status["CapEff"], 16), int(status["CapBnd"], 16),
                  status["NoNewPrivs"], os.uname().nodename]
        """
    )
    assert answer == [1000, 1000, 0, 0, "1", "sandbox"]


@needs_bubblewrap
def test_no_further_namespace_can_be_made(inside) -> None:
    answer = inside(
        """
        import ctypes
        answer = ctypes.CDLL(None, use_errno=True).unshare(0x10000000)  # CLONE_NEWUSER
        """
    )
    assert answer == -1


@needs_bubblewrap
def test_no_process_of_the_machine_is_seen(inside) -> None:
    answer = inside("import os; answer = [int(n) for n in os.listdir('/proc') if n.isdigit()]")
    assert set(answer) <= set(range(1, 10))
    assert os.getpid() not in answer


@needs_bubblewrap
def test_the_package_and_its_libraries_can_be_imported(inside) -> None:
    assert inside("import numpy, shardwork.probes.server; answer = numpy.ones(2).sum()") == 2.0


# its end ------------------------------------------------------------------------------------------

PARENT = """
import subprocess, sys
from pathlib import Path
from shardwork.sandbox.bubblewrap import Room, command
scratch = Path(sys.argv[1])
room = Room(environment={"PATH": "/usr/bin:/bin"})
process = subprocess.Popen([*command(room, scratch), "sh", "-c", "echo started; sleep 600"])
process.wait()
"""


@needs_bubblewrap
def test_a_sandbox_ends_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"started\n"
        tree = psutil.Process(parent.pid).children(recursive=True)
        parent.send_signal(signal.SIGKILL)
    assert len(tree) >= 2
    _, alive = psutil.wait_procs(tree, timeout=10)
    assert alive == []


# without it ---------------------------------------------------------------------------------------


@pytest.fixture
def no_bubblewrap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("PATH", str(tmp_path))
    isolation.bubblewrap_problem.cache_clear()
    yield
    isolation.bubblewrap_problem.cache_clear()


@pytest.mark.usefixtures("no_bubblewrap")
def test_without_bubblewrap_nothing_is_run_and_the_next_step_is_said() -> None:
    with pytest.raises(MachineError) as raised:
        isolation.require(Isolation.BUBBLEWRAP)
    text = str(raised.value)
    assert "No submission was run: bubblewrap (`bwrap`) is not installed" in text
    assert "sudo apt-get install -y bubblewrap" in text
    assert "--isolation none" in text
    assert raised.value.exit_code == ExitCode.ENVIRONMENT


@pytest.mark.usefixtures("no_bubblewrap")
def test_without_bubblewrap_no_isolation_can_be_asked_for_by_name() -> None:
    isolation.require(Isolation.NONE)


def test_a_bubblewrap_that_cannot_make_a_sandbox_is_refused_with_what_it_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "bwrap"
    program.write_text("#!/bin/sh\necho 'setting up uid map: Permission denied' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    isolation.bubblewrap_problem.cache_clear()
    try:
        with pytest.raises(MachineError, match="uid map: Permission denied"):
            isolation.require(Isolation.BUBBLEWRAP)
    finally:
        isolation.bubblewrap_problem.cache_clear()


# the watchdog -------------------------------------------------------------------------------------


class Tree:
    """A process under watch; `killed` counts how often the watchdog asked for its end."""

    def __init__(self, code: str, *, folder: Path = Path("/nonexistent"), **bounds: int) -> None:
        self.killed = 0
        self.process = subprocess.Popen([sys.executable, "-I", "-c", code], stdin=subprocess.PIPE)
        self.watchdog = watchdog.Watchdog(
            self.process.pid, kill=self._kill, folder=folder, **bounds
        )

    def _kill(self) -> None:
        self.killed += 1
        for process in watchdog.descendants(self.process.pid):
            process.kill()

    def close(self) -> None:
        self._kill()
        self.watchdog.stop()
        self.watchdog.stop()
        self.process.communicate()


@pytest.mark.parametrize(
    "misuse",
    ["open(f'{f}/x', 'wb').write(bytes(1 << 20))", "[open(f'{f}/{i}', 'w') for i in range(40)]"],
)
def test_the_watchdog_ends_a_tree_that_fills_the_folder_of_the_sockets(
    tmp_path: Path, misuse: str
) -> None:
    code = f"f = {str(tmp_path)!r}; {misuse}; input()"
    tree = Tree(code, folder=tmp_path, memory_bytes=1 << 30, processes=10)
    try:
        assert tree.process.wait(timeout=60) == -signal.SIGKILL
        assert tree.watchdog.verdict == "it wrote where only the engine writes"
    finally:
        tree.close()


def test_the_watchdog_counts_the_cpu_seconds_of_a_tree() -> None:
    tree = Tree("while True: pass", memory_bytes=1 << 30, processes=10)
    try:
        while tree.watchdog.cpu_s < 0.5:  # the test's own time limit ends this if it never comes
            time.sleep(0.05)
    finally:
        tree.close()


class Clock:
    """Wall and CPU seconds that a test sets."""

    def __init__(self) -> None:
        self.wall_s = 1000.0
        self.cpu_s = 7.0


@pytest.mark.parametrize(
    ("wall_s", "cpu_s", "is_up"),
    [
        (9.0, 9.0, False),  # before the limit, whatever it used
        (11.0, 6.0, True),  # it had more than half a core
        (11.0, 3.0, False),  # starved: half of ten seconds is five
        (39.0, 3.0, False),
        (41.0, 0.0, True),  # four times the limit, in any case
    ],
)
def test_time_is_up_when_a_sandbox_had_its_share(
    monkeypatch: pytest.MonkeyPatch, wall_s: float, cpu_s: float, is_up: bool
) -> None:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: clock.wall_s)
    patience = Patience(10.0, lambda: clock.cpu_s)
    clock.wall_s += wall_s
    clock.cpu_s += cpu_s
    assert (patience.left() == 0.0) is is_up


def test_the_watchdog_ends_a_tree_that_uses_too_much_memory_and_says_so() -> None:
    tree = Tree("x = b'x' * (300 << 20); input()", memory_bytes=200 << 20, processes=10)
    try:
        assert tree.process.wait(timeout=60) == -signal.SIGKILL
        assert tree.watchdog.verdict == "it used more than 200 MB of memory"
        assert tree.watchdog.peak_bytes > 200 << 20
        assert tree.killed == 1
    finally:
        tree.close()


def test_the_watchdog_counts_the_memory_that_forks_share_once() -> None:
    code = "import os; x = b'x' * (100 << 20); [os.fork() for _ in range(2)]; os.read(0, 1)"
    tree = Tree(code, memory_bytes=300 << 20, processes=10)
    try:
        while tree.watchdog.peak_bytes < 100 << 20:
            assert tree.process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):  # four processes of 100 MB each, shared
            tree.process.wait(timeout=3 * watchdog.INTERVAL_S)
        assert tree.watchdog.verdict is None
    finally:
        tree.close()


def test_the_watchdog_ends_a_tree_of_too_many_processes() -> None:
    code = "import os; [os.fork() for _ in range(4)]; os.read(0, 1)"
    tree = Tree(code, memory_bytes=8 << 30, processes=8)
    try:
        assert tree.process.wait(timeout=60) == -signal.SIGKILL
        assert tree.watchdog.verdict == "it started more than 8 processes"
    finally:
        tree.close()


def test_the_watchdog_of_a_process_that_has_ended_does_nothing() -> None:
    tree = Tree("pass", memory_bytes=1, processes=0)
    tree.process.wait(timeout=60)
    tree.watchdog.stop()
    assert watchdog.descendants(tree.process.pid) == [] or tree.killed <= 1
    tree.process.communicate()
