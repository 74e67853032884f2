"""What a process can see of its own confinement, for `shardwork doctor` and the probe at start."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

_STATUS = ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")
_NAMESPACES = {"mnt": "mount", "user": "user", "pid": "pid", "net": "net", "ipc": "ipc",
               "uts": "uts", "cgroup": "cgroup"}  # fmt: skip


def describe() -> dict[str, str]:
    """Return facts by name: identity, capabilities, filter, namespaces, interfaces, mounts."""
    status = dict(
        line.split(":\t", 1)
        for line in Path("/proc/self/status").read_text().splitlines()
        if ":\t" in line
    )
    facts = {name: status.get(name, "?").strip() for name in _STATUS}
    for file, name in _NAMESPACES.items():
        facts[f"namespace {name}"] = str(Path("/proc/self/ns", file).readlink())
    facts["uid"] = str(os.getuid())
    facts["pid"] = str(os.getpid())
    facts["host_name"] = socket.gethostname()
    facts["interfaces"] = " ".join(name for _, name in socket.if_nameindex())
    facts["processes"] = str(sum(path.name.isdigit() for path in Path("/proc").iterdir()))
    facts["root"] = " ".join(sorted(path.name for path in Path("/").iterdir()))
    facts["environment"] = " ".join(sorted(os.environ))
    for place in ("/", "/tmp", "/dev/shm", "/usr"):
        facts[f"writable {place}"] = str(_is_writable(place)).lower()
    facts["vsock"] = str(_can_open_vsock()).lower()
    return facts


def _is_writable(folder: str) -> bool:
    name = Path(folder, f"shardwork-probe-{os.getpid()}")
    try:
        name.write_bytes(b"")
    except OSError:
        return False
    with contextlib.suppress(OSError):
        name.unlink()
    return True


def _can_open_vsock() -> bool:
    try:
        socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()
    except OSError:
        return False
    return True
