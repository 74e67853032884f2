"""A sandbox that is a container of its own, made for one submission and thrown away.

The counterpart of `tree.Sandbox` where the machine has a container engine. The judge creates the
container, speaks with it over its standard streams only, counts what it takes by what the engine
says, kills it, and sees that it is gone.
"""

from __future__ import annotations

import contextlib
import os
import queue
import secrets
import socket
import threading
import time
from pathlib import Path
from typing import TypeVar

import msgspec

from shardwork.course import Limits
from shardwork.inside.orders import (
    CELLS_CHANNEL,
    FROM_CHILD,
    JUDGE_CHANNEL,
    Begin,
    Described,
    Ended,
    Enter,
    Failed,
    Fork,
    Interrupt,
    Started,
    encode,
)
from shardwork.inside.relay import Broken, Relay
from shardwork.sandbox.engine import Engine, EngineFailed, Unframed
from shardwork.sandbox.zygote import ContainerPlan, ZygoteFailed

HOME = "/home/student"
WORK = f"{HOME}/work"
MAX_TASKS = 1600
"""Processes and their threads."""
START_S = 180.0
"""Seconds for a container to begin: an interpreter that imports everything."""
LABEL = "shardwork.sandbox"
_DEATH_LIMIT_S = 30.0
_LOOK_S = 0.5
_NEAR = 0.9
"""At this share of the memory it is worth asking whether the kernel has ended something."""
_MESSAGE_BYTES = 64 << 10
_MAX_MESSAGES = 16
_FIRST_UID, _UIDS = 0x4000_0000, 0x2000_0000
_SHARES = 256
"""A quarter of the default: a submission that spins must not slow its judge down."""
_INODES_PER_MB = 200
# The engine's own lists (Docker 20.10), and what else tells of the machine.
_MASKED = ("/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
           "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi",
           "/proc/kallsyms", "/proc/sysrq-trigger", "/proc/kmsg", "/sys/firmware",
           "/sys/devices/virtual/powercap", "/proc/interrupts")  # fmt: skip
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys")
# What the C library, OpenMP and the interpreter read when they are loaded.
_EARLY = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED",
          "LANG", "TZ")  # fmt: skip

M = TypeVar("M", Started, Described)


def settings(plan: ContainerPlan, begin: Begin, limits: Limits, uid: int) -> dict[str, object]:
    """Return what the engine is asked to create (`POST /containers/create`)."""
    scratch = f"size={limits.scratch_mb}m,nr_inodes={limits.scratch_mb * _INODES_PER_MB}"
    owner = f"uid={uid},gid={uid}"
    common = "rw,exec,nosuid,nodev"
    bytes_ = (limits.memory_mb + limits.scratch_mb) << 20
    early = [f"{name}={begin.environment[name]}" for name in _EARLY if name in begin.environment]
    return {
        "Image": plan.image,
        "Hostname": "sandbox",
        "User": f"{uid}:{uid}",
        "Env": early,
        "WorkingDir": "/",
        "Labels": {LABEL: owner_of()},
        "AttachStdin": True, "AttachStdout": True, "AttachStderr": True,
        "OpenStdin": True, "StdinOnce": True, "Tty": False,
        "NetworkDisabled": True,
        "HostConfig": {
            "AutoRemove": True,  # should the judge be killed: its end of the pipe closes then
            "NetworkMode": "none",
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges", f"seccomp={plan.seccomp}"],
            "MaskedPaths": list(_MASKED),
            "ReadonlyPaths": list(_READ_ONLY),
            "IpcMode": "private",
            "PidsLimit": MAX_TASKS,
            "Memory": bytes_,
            "MemorySwap": bytes_,
            "CpuShares": _SHARES,
            "Ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}],
            "LogConfig": {"Type": "none"},  # nothing of a submission fills the machine's disk
            "Tmpfs": {
                "/tmp": f"{common},{scratch},mode=1777",
                "/dev/shm": f"{common},{scratch},mode=1777",
                HOME: f"{common},{scratch},{owner},mode=0755",
                "/etc/identity": f"rw,noexec,nosuid,nodev,size=64k,{owner},mode=0755",
            },
        },
    }  # fmt: skip


def owner_of() -> str:
    """Return whose a container is: this process, where its number means this process."""
    return f"{_place()}-{os.getpid()}"


def _place() -> str:
    """Return this start of this machine, and the PID namespace."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    return "unknown"


def sweep(engine: Engine) -> None:
    """Remove the containers of judges of this machine that were killed."""
    for found in engine.containers(LABEL):
        place, _, pid = str(found.get("Labels", {}).get(LABEL, "")).rpartition("-")
        if place == _place() and pid.isdigit() and not Path("/proc", pid).exists():
            engine.remove(str(found["Id"]))


class Container:
    """One submission's container; the same to a session as `tree.Sandbox`.

    `cells_end` is the trusted end of the runner's connection, `judge_end` of the kernel's. Closing
    twice is allowed. `left_alive` is true if it could not be ended in time.
    """

    def __init__(self, limits: Limits, plan: ContainerPlan, begin: Begin, files: str = "") -> None:
        self._limits = limits
        self._plan = plan
        self._begin = begin
        self._files = files
        self._engine = Engine(plan.engine)
        self.judge_end, self._judge = socket.socketpair()
        self.cells_end, self._cells = socket.socketpair()
        self._id: str | None = None
        self._pipe: socket.socket | None = None
        self._relay: Relay | None = None
        self._carrier: threading.Thread | None = None
        self._looker: threading.Thread | None = None
        self._orders: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._wake, self._woken = os.pipe()[::-1]
        self._said: queue.SimpleQueue[Started | Described | Failed | Ended | None]
        self._said = queue.SimpleQueue()
        self._messages = 0
        self._unframed = Unframed()
        self._closing = threading.Event()
        self._why: str | None = None
        self._log = ""
        self.peak_bytes = 0
        self.cpu_s = 0.0
        self.left_alive = False
        self.uid = _FIRST_UID + secrets.randbelow(_UIDS)

    @property
    def log(self) -> str:
        """The end of what its processes wrote to their standard error."""
        return f"{self._unframed.log}\n{self._log}".strip()

    @property
    def why_killed(self) -> str | None:
        """What bound it exceeded, if that ended a part of it."""
        if self._why is None and not self._closing.is_set():
            with contextlib.suppress(EngineFailed):
                self._look()
        return self._why

    @property
    def alive(self) -> bool:
        """Whether its pipe is open."""
        return self._carrier is not None and self._carrier.is_alive()

    def start(self) -> None:
        """Have it made, and wait until its kernel runs. Raises ZygoteFailed."""
        self._enter(Fork())
        self._hear(Started)

    def describe(self) -> dict[str, str]:
        """Have one made that only says what it can see. Raises ZygoteFailed."""
        self._enter(Fork(describe=True))
        return self._hear(Described).facts

    def interrupt(self) -> None:
        """Interrupt the kernel, as Ctrl-C would."""
        self._tell(Interrupt())

    def kill(self) -> None:
        """End everything in it: its first process goes, and with it its PID namespace."""
        if self._id is not None:
            with contextlib.suppress(EngineFailed):
                self._engine.kill(self._id)

    def close(self) -> None:
        """Kill and remove it, see that it is gone, and close this side's sockets."""
        if not self._closing.is_set():
            self._closing.set()
            if self._looker is not None:
                self._looker.join()
            with contextlib.suppress(EngineFailed):
                self._look()
        container, self._id = self._id, None
        if container is not None:
            self._remove(container)
        self._wake_up()
        if self._carrier is not None:
            self._carrier.join(_DEATH_LIMIT_S)
        if self._relay is not None:
            self._relay.close()
        sockets = (self.judge_end, self.cells_end, self._judge, self._cells, self._pipe)
        for sock in sockets:
            if sock is not None:
                sock.close()
        wake, woken, self._wake, self._woken = self._wake, self._woken, -1, -1
        for descriptor in (wake, woken):
            if descriptor >= 0:
                os.close(descriptor)

    def _enter(self, fork: Fork) -> None:
        created = settings(self._plan, self._begin, self._limits, self.uid)
        try:
            self._id = self._engine.create(created)
            self._pipe = self._engine.attach(self._id)
            self._engine.start(self._id)
        except EngineFailed as error:
            raise ZygoteFailed(f"the container was not made: {error}") from error
        descriptor = self._pipe.fileno()
        self._relay = Relay(descriptor, descriptor, self._take, _MESSAGE_BYTES,
                            self._unframed.output)  # fmt: skip
        self._relay.add(JUDGE_CHANNEL, self._judge)
        self._relay.add(CELLS_CHANNEL, self._cells)
        self._relay.watch(self._woken, self._pass_orders)
        files = _files_in(Path(self._files)) if self._files else {}
        self._tell(Enter(self._begin, fork, files))
        self._carrier = threading.Thread(target=self._carry, name="relay", daemon=True)
        self._carrier.start()
        self._looker = threading.Thread(target=self._keep_looking, name="looker", daemon=True)
        self._looker.start()

    def _tell(self, order: Enter | Interrupt) -> None:
        self._orders.put(encode(order))
        self._wake_up()

    def _wake_up(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._wake, b".")

    def _pass_orders(self) -> None:
        """In the relay's thread, when it was woken."""
        assert self._relay is not None
        os.read(self._woken, 1)
        with contextlib.suppress(queue.Empty):
            while True:
                self._relay.say(self._orders.get_nowait())
        if self._closing.is_set():
            self._relay.end()

    def _carry(self) -> None:
        assert self._relay is not None
        try:
            self._relay.run()
        except (Broken, OSError, msgspec.DecodeError):
            pass  # what it says from here on is not heard
        finally:
            self._said.put(None)
            for sock in (self._judge, self._cells):
                sock.close()

    def _take(self, message: bytes) -> None:
        heard = FROM_CHILD.decode(message)
        self._messages += 1
        if self._messages > _MAX_MESSAGES:
            raise Broken("more messages than there are steps")
        if isinstance(heard, Ended):
            self._log = heard.log
        elif isinstance(heard, Started | Described | Failed):
            self._said.put(heard)

    def _hear(self, kind: type[M]) -> M:
        try:
            heard = self._said.get(timeout=START_S)
        except queue.Empty:
            raise ZygoteFailed(f"the container was not ready after {START_S:.0f} s") from None
        if isinstance(heard, kind):
            return heard
        what = f"{heard.step}: {heard.error}" if isinstance(heard, Failed) else "it ended at once"
        said = f"; it said: {self.log[-2000:]}" if self.log else ""
        raise ZygoteFailed(f"the container was not made: {what}{said}")

    def _keep_looking(self) -> None:
        while not self._closing.wait(_LOOK_S):
            with contextlib.suppress(EngineFailed):
                self._look()
            if self._why is not None:
                self.kill()
                return

    def _look(self) -> None:
        """Count what it takes, as the engine says, and whether it took too much."""
        if self._id is None:
            return
        seen = self._engine.usage(self._id) or {}
        memory = seen.get("memory_stats") or {}
        used = max(memory.get("usage") or 0, memory.get("max_usage") or 0)
        self.peak_bytes = max(self.peak_bytes, used)
        spent = ((seen.get("cpu_stats") or {}).get("cpu_usage") or {}).get("total_usage") or 0
        self.cpu_s = max(self.cpu_s, spent / 1e9)
        limit = (self._limits.memory_mb + self._limits.scratch_mb) << 20
        near = self.peak_bytes >= _NEAR * limit
        if near and self._engine.ran_out_of_memory(self._id, time.time()):
            self._why = f"it used more than {self._limits.memory_mb} MB of memory"

    def _remove(self, container: str) -> None:
        until = time.monotonic() + _DEATH_LIMIT_S
        self.left_alive = True
        while time.monotonic() < until:
            with contextlib.suppress(EngineFailed):
                self._engine.remove(container)
                if not self._engine.exists(container):
                    self.left_alive = False
                    return
            time.sleep(0.05)


def _files_in(folder: Path) -> dict[str, bytes]:
    """Read the files beside a released notebook; what is read is the course's own."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}
