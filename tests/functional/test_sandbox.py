"""The sandbox, with a real bubblewrap: what is in it, what is not, and that nothing outlives it.

Most tests run in every way of making one that this machine allows.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from shardwork.course import Isolation, Limits
from shardwork.errors import ExitCode, MachineError
from shardwork.sandbox import isolation, watchdog
from shardwork.sandbox.cgroup import Usage
from shardwork.sandbox.patience import Patience
from shardwork.sandbox.tree import DEATH_S, Sandbox
from shardwork.sandbox.zygote import Plan, Zygote, ZygoteFailed
from tests import sandboxes

WHY_NOT = isolation.problem()
REPOSITORY = Path(__file__).resolve().parents[2]
WAYS = [] if WHY_NOT else [way for way in isolation.ways() if not isolation.unreachable(way)]
NAMES = {(True, True): "root", (False, True): "user", (False, False): "single"}
needs_bubblewrap = pytest.mark.skipif(WHY_NOT is not None, reason=f"bubblewrap: {WHY_NOT}")
pytestmark = pytest.mark.functional


@pytest.fixture(scope="module", autouse=True)
def zygotes() -> Iterator[None]:
    """Start every zygote before a test counts processes, and end them."""
    if WAYS:
        sandboxes.zygote()
        sandboxes.zygote(scratch_mb=16)
    for way in WAYS:
        sandboxes.zygote(way)
        sandboxes.zygote(way, scratch_mb=16)
    yield
    sandboxes.end_zygotes()


@pytest.fixture(params=WAYS, ids=lambda way: NAMES[way.privileged, way.nested])
def zygote(request: pytest.FixtureRequest) -> Zygote:
    return sandboxes.zygote(request.param)


@pytest.fixture
def inside(zygote: Zygote, no_leaks: None) -> Callable[..., Any]:
    """Run Python in a sandbox; return what it binds to `answer`, which must be JSON."""

    def run(code: str, **limits: Any) -> Any:
        return sandboxes.run(zygote, code, **limits)

    return run


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


def test_home_is_empty_but_for_the_working_folder(inside) -> None:
    answer = inside(
        """
        import os
        made_by_ipython = {".kernel", ".ipython", ".cache", ".config", ".local", ".matplotlib"}
        home = set(os.listdir("/home/student")) - made_by_ipython
        answer = [os.getcwd(), sorted(home), os.listdir(".")]
        """
    )
    assert answer == ["/home/student/work", ["work"], []]


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


def test_the_system_and_the_packages_are_read_only(inside) -> None:
    folders = ["/usr", "/usr/lib", "/proc", sys.prefix, str(Path(isolation.__file__).parent)]
    assert inside(WRITES.format(folders=folders)) == []
    assert not any(Path(folder, "sw-planted").exists() for folder in folders)


@pytest.mark.parametrize("folder", ["/", "/etc", "/dev"])
def test_nothing_can_be_written_where_no_bound_holds(inside, folder: str) -> None:
    assert inside(WRITES.format(folders=[folder])) == []


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm", "/home/student/work"])
def test_what_may_be_written_is_private_and_bounded(no_leaks, folder: str) -> None:
    for way in WAYS:
        answer = sandboxes.run(
            sandboxes.zygote(way, scratch_mb=16),
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
        )
        # Where the file system is as large as one file may be, either may say no.
        assert answer in (["ENOSPC", True], ["EFBIG", True])
        assert not Path(f"{folder}/sw-test-of-the-sandbox").exists()


@needs_bubblewrap
def test_all_places_together_hold_no_more_than_one_bound_and_no_more_files(no_leaks) -> None:
    answer = sandboxes.run(
        sandboxes.zygote(scratch_mb=16),
        """
        import os
        sizes = [os.statvfs(p) for p in ("/tmp", "/dev/shm", "/home")]
        answer = [len({s.f_fsid for s in sizes}), sizes[0].f_blocks * sizes[0].f_frsize >> 20,
                  sizes[0].f_files]
        """,
    )
    assert answer == [1, 16, 16 * isolation.INODES_PER_MB]


def test_one_file_is_bounded(inside) -> None:
    answer = inside(
        """
        import resource
        answer = resource.getrlimit(resource.RLIMIT_FSIZE)
        """
    )
    assert answer == [64 << 20, 64 << 20]


def test_a_folder_that_was_given_is_readable_and_not_writable(tmp_path: Path, no_leaks) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "table.csv").write_text("a,b\n")
    (tmp_path / "notes.txt").write_text("c")
    plan = isolation.plan(sandboxes.assignment(), Isolation.BUBBLEWRAP, {"en": tmp_path})
    zygote = Zygote(plan)
    try:
        answer = sandboxes.run(
            zygote,
            """
            import os
            def can_write(path):
                try:
                    open(path, "a")
                    return True
                except OSError:
                    return False
            answer = [open("data/table.csv").read(), open("notes.txt").read(),
                      can_write("data/more.csv"), can_write("notes.txt"), can_write("mine.txt")]
            """,
            files=f"{isolation.FILES_INSIDE}/en",
        )
    finally:
        zygote.close()
    assert answer == ["a,b\n", "c", False, False, True]


def test_the_environment_is_the_one_given_and_nothing_of_the_callers(
    monkeypatch: pytest.MonkeyPatch, inside
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    environment = inside("import os; answer = dict(os.environ)")
    given = sandboxes.environment()
    added_by_programs = {"PWD", "LC_CTYPE", "SHARDWORK_JUDGE_FD", "PYDEVD_USE_FRAME_EVAL", "TERM",
                         "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "PAGER", "GIT_PAGER",
                         "MPLBACKEND", "JPY_PARENT_PID"}  # fmt: skip
    assert set(environment) <= set(given) | added_by_programs
    assert "secret" not in environment.values()


def test_no_descriptor_of_the_zygote_or_of_another_sandbox_is_inherited(inside) -> None:
    """The kernel's own: standard streams, the judge's, the listening sockets, what zmq opened."""
    answer = inside(
        """
        import os
        found = {}
        for number in os.listdir("/proc/self/fd"):
            try:
                found[number] = os.readlink(f"/proc/self/fd/{number}")
            except OSError:
                pass
        answer = sorted({target for target in found.values() if target.startswith("/")})
        """
    )
    assert set(answer) <= {"/dev/null", "/dev/urandom", "/dev/pts/ptmx", "/dev/ptmx"}


def test_a_program_is_nobody_in_particular_and_cannot_become_more(inside) -> None:
    answer = inside(
        """
        import os
        lines = open("/proc/self/status").read().splitlines()
        status = dict(line.split(":\\t", 1) for line in lines if ":\\t" in line)
        answer = [os.getuid(), os.getgid(), int(status["CapEff"], 16), int(status["CapBnd"], 16),
                  status["NoNewPrivs"], status["Seccomp"], os.uname().nodename]
        """
    )
    assert answer == [1000, 1000, 0, 0, "1", "2", "sandbox"]


FORBIDDEN = {
    "unshare": "libc.unshare(0x10000000)",
    "clone with a new user namespace": "libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0)",
    "clone3": "libc.syscall(435, 0, 0)",
    "mount": "libc.mount(b'x', b'/tmp', b'tmpfs', 0, None)",
    "ptrace": "libc.ptrace(16, 1, 0, 0)",
    "bpf": "libc.syscall(321, 0, 0, 0)",
    "io_uring_setup": "libc.syscall(425, 1, 0)",
    "userfaultfd": "libc.syscall(323, 0)",
    "perf_event_open": "libc.syscall(298, 0, 0, 0, 0, 0)",
    "keyctl": "libc.syscall(250, 0, 0)",
    "memfd_create": "libc.syscall(319, b'x', 0)",
    "shmget": "libc.syscall(29, 0, 4096, 0o600)",
    "AF_VSOCK": "libc.socket(40, 1, 0)",
    "AF_PACKET": "libc.socket(17, 3, 0)",
    "AF_ALG": "libc.socket(38, 5, 0)",
}


def test_system_calls_that_no_exercise_needs_are_refused(inside) -> None:
    answer = inside(
        f"""
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        answer = {{name: eval(call) for name, call in {FORBIDDEN}.items()}}
        """
    )
    assert answer == dict.fromkeys(FORBIDDEN, -1)


def test_memory_of_the_first_process_of_a_sandbox_holds_no_other_sandbox(inside) -> None:
    """What one kernel wrote is in no memory that the next one was forked from."""
    inside("mark = 'left-by-' + 'the-first'; answer = 0")
    answer = inside(
        """
        import gc
        answer = sum("left-by-" + "the-first" in o for o in gc.get_objects()
                     if isinstance(o, (list, tuple)) and all(isinstance(x, str) for x in o))
        """
    )
    assert answer == 0


def test_no_process_of_the_machine_is_seen(inside) -> None:
    answer = inside("import os; answer = [int(n) for n in os.listdir('/proc') if n.isdigit()]")
    assert set(answer) <= set(range(1, 10))
    assert os.getpid() not in answer


def test_the_package_and_its_libraries_can_be_imported(inside) -> None:
    assert inside("import numpy, shardwork.probes.server; answer = numpy.ones(2).sum()") == 2.0


# its end ------------------------------------------------------------------------------------------

PARENT = """
import sys, time
from tests import sandboxes
cell = "import subprocess; subprocess.Popen(['sleep', '600'])"
session = sandboxes.session(sandboxes.zygote(), {"a": cell})
session.open()
print("started", flush=True)
time.sleep(600)
"""


@needs_bubblewrap
@pytest.mark.usefixtures("no_leaks")
def test_a_sandbox_ends_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"started\n"
        tree = psutil.Process(parent.pid).children(recursive=True)
        parent.send_signal(signal.SIGKILL)
    assert len(tree) >= 4  # bubblewrap, zygote, attendant, init, kernel, sleep
    _, alive = psutil.wait_procs(tree, timeout=DEATH_S + 5)
    assert alive == []


@needs_bubblewrap
@pytest.mark.usefixtures("no_leaks")
def test_a_sandbox_ends_when_its_judge_hangs_up_and_the_zygote_serves_the_next() -> None:
    zygote = sandboxes.zygote()
    first = Sandbox(Limits(), zygote)
    first.start()
    process = psutil.Process(first_process(first))
    first._reply.close()  # as when the judge is killed: nobody says goodbye
    process.wait(DEATH_S + 5)
    first.close()
    assert sandboxes.run(zygote, "answer = 1") == 1


def first_process(sandbox: Sandbox) -> int:
    text = Path(f"/proc/self/fdinfo/{sandbox._init}").read_text()
    return int(text.split("Pid:")[1].split()[0])


STUBBORN = """
import os, signal, subprocess, sys
for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
for _ in range(5):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            while True:
                pass
        os._exit(0)
answer = 0
"""


@pytest.mark.usefixtures("no_leaks")
def test_a_tree_that_ignores_every_signal_is_gone_when_it_was_closed(zygote) -> None:
    opened = sandboxes.session(zygote, {"a": STUBBORN})
    opened.open()
    assert opened._sandbox is not None
    # Without a PID namespace of their own, orphans go to the attendant.
    attendant = psutil.Process(first_process(opened._sandbox)).parent()
    assert attendant is not None
    tree = attendant.children(recursive=True)
    assert len(tree) >= 6
    opened.close()
    assert not [process for process in tree if process.is_running()]


@pytest.mark.parametrize("step", ["seccomp", "capabilities", "network"])
def test_a_sandbox_that_lacks_a_protection_is_found_out(step: str) -> None:
    for way in WAYS[:1]:
        facts = dict(isolation.describe(way))
        assert isolation.unmet(facts, way) is None
        facts |= {
            "seccomp": {"Seccomp": "0"},
            "capabilities": {"CapEff": "000001ffffffffff"},
            "network": {"namespace net": isolation.namespaces()["net"]},
        }[step]
        assert isolation.unmet(facts, way)


@needs_bubblewrap
@pytest.mark.usefixtures("no_leaks")
def test_a_step_that_fails_starts_nothing_and_says_which() -> None:
    plan = isolation.plan_at(WAYS[0], Limits(scratch_mb=16))
    confinement = msgspec.structs.replace(plan.begin.confinement, covered={"/tmp/x": "/nowhere"})
    begin = msgspec.structs.replace(plan.begin, confinement=confinement)
    zygote = Zygote(msgspec.structs.replace(plan, begin=begin))
    sandbox = Sandbox(Limits(), zygote)
    try:
        with pytest.raises(ZygoteFailed, match=r"mounts: .*No such file"):
            sandbox.start()
    finally:
        sandbox.close()
        zygote.close()


@pytest.mark.usefixtures("no_leaks")
def test_a_zygote_that_cannot_start_says_what_it_said() -> None:
    plan = isolation.plan_at(isolation.Level(Isolation.NONE), Limits())
    command = ("sh", "-c", "echo 'no room' >&2; exit 1", "sh")
    zygote = Zygote(Plan(command, plan.begin))
    with pytest.raises(ZygoteFailed, match="no room"):
        zygote.start()


@pytest.fixture
def no_bubblewrap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("PATH", str(tmp_path))
    isolation.level.cache_clear()
    yield
    isolation.level.cache_clear()


@pytest.mark.usefixtures("no_bubblewrap")
def test_without_bubblewrap_nothing_is_run_and_the_next_step_is_said() -> None:
    with pytest.raises(MachineError) as raised:
        isolation.level(Isolation.BUBBLEWRAP)
    text = str(raised.value)
    assert "No submission was run: bubblewrap (`bwrap`) is not installed" in text
    assert "sudo apt-get install -y bubblewrap" in text
    assert "--isolation none" in text
    assert raised.value.exit_code == ExitCode.ENVIRONMENT


@pytest.mark.usefixtures("no_bubblewrap")
def test_without_bubblewrap_no_isolation_can_be_asked_for_by_name() -> None:
    isolation.level(Isolation.NONE)


def test_a_bubblewrap_that_cannot_make_a_sandbox_is_refused_with_what_it_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "bwrap"
    program.write_text("#!/bin/sh\necho 'setting up uid map: Permission denied' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    isolation.level.cache_clear()
    try:
        with pytest.raises(MachineError, match="uid map: Permission denied"):
            isolation.level(Isolation.BUBBLEWRAP)
    finally:
        isolation.level.cache_clear()


class Tree:
    """A process under watch; `killed` counts how often the watchdog asked for its end."""

    def __init__(self, code: str, **bounds: Any) -> None:
        self.killed = 0
        self.process = subprocess.Popen([sys.executable, "-I", "-c", code], stdin=subprocess.PIPE)
        self.watchdog = watchdog.Watchdog(self.process.pid, kill=self._kill, **bounds)

    def _kill(self) -> None:
        self.killed += 1
        for process in watchdog.descendants(self.process.pid):
            process.kill()

    def close(self) -> None:
        self._kill()
        self.watchdog.stop()
        self.watchdog.stop()
        self.process.communicate()


def test_the_watchdog_counts_the_cpu_seconds_of_a_tree() -> None:
    tree = Tree("while True: pass", memory_bytes=1 << 30, processes=10)
    try:
        while tree.watchdog.cpu_s < 0.5:  # the test's own time limit ends this if it never comes
            time.sleep(0.05)
    finally:
        tree.close()


def test_a_tree_is_looked_at_only_while_the_kernel_counts_more_than_is_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = [Usage(1 << 20, 3, 0.25), Usage(1 << 20, 3, 1.5), Usage(2 << 30, 3, 1.5)]
    looks: list[int] = []
    monkeypatch.setattr(watchdog, "INTERVAL_S", 0.01)
    monkeypatch.setattr(watchdog, "descendants", lambda pid: looks.append(len(seen)) or [])
    tree = Tree(
        "input()",
        memory_bytes=1 << 30,
        processes=10,
        glance=lambda: seen.pop(0) if len(seen) > 1 else seen[0],
    )
    try:
        while not looks:  # the test's own time limit ends this if it never comes
            time.sleep(0.01)
        assert looks[0] == 1  # the first two were well within
        assert tree.watchdog.cpu_s == 1.5
        assert tree.watchdog.verdict is None  # no process of it takes too much
    finally:
        monkeypatch.undo()
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
