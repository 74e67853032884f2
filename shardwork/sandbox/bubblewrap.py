"""The command line that puts a program into a bubblewrap sandbox (bubblewrap 0.8).

What is inside: a read-only system, the environment's Python packages, the engine's own package and
Java; private `/tmp`, `/dev/shm` and home, bounded in size; loopback only. What is not: the course
folder, graders, other submissions, the caller's home and environment.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import msgspec

HOME = "/home/student"
WORK = f"{HOME}/work"
_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
# What programs need of /etc; nothing in it is particular to a person.
_ETC = ("alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "fonts", "localtime",
        "mime.types", "ssl/openssl.cnf")  # fmt: skip
_PASSWD = "root:x:0:0::/root:/usr/sbin/nologin\nstudent:x:1000:1000::/home/student:/bin/sh\n"
_GROUP = "root:x:0:\nstudent:x:1000:\n"
_HOSTS = "127.0.0.1 localhost sandbox\n"


class Room(msgspec.Struct, frozen=True):
    """What a sandbox holds beside the system: folders by where they appear inside."""

    readable: dict[str, Path] = {}
    """Path inside to path outside, read-only."""
    shared: tuple[Path, ...] = ()
    """Folders that both sides may write, at the same path inside."""
    environment: dict[str, str] = {}
    scratch_mb: int = 1024
    max_file_mb: int = 1024
    max_descriptors: int = 4096


def command(room: Room, scratch: Path) -> list[str]:
    """Return the argument list to put before the program that shall run inside.

    `scratch` is a folder of the caller's where the three small `/etc` files are written.
    """
    bwrap = shutil.which("bwrap") or "bwrap"
    size = str(room.scratch_mb << 20)
    args = [
        bwrap, "--unshare-all", "--unshare-user", "--disable-userns",
        "--uid", "1000", "--gid", "1000", "--hostname", "sandbox",
        "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv",
        "--ro-bind", "/usr", "/usr",
    ]  # fmt: skip
    for name in _SYSTEM:
        path = Path(name)
        if path.is_symlink():
            args += ["--symlink", str(path.readlink()), name]
        elif path.is_dir():
            args += ["--ro-bind", name, name]
    for name in _ETC:
        args += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for name, text in (("passwd", _PASSWD), ("group", _GROUP), ("hosts", _HOSTS)):
        (scratch / name).write_text(text, encoding="utf-8")
        args += ["--ro-bind", str(scratch / name), f"/etc/{name}"]
    args += ["--proc", "/proc", "--dev", "/dev"]
    for folder in ("/dev/shm", "/tmp", "/home"):
        args += ["--size", size, "--perms", "1777", "--tmpfs", folder]
    args += ["--dir", HOME, "--dir", WORK]
    for path in python_folders():
        args += ["--ro-bind", str(path), str(path)]
    for inside, outside in room.readable.items():
        args += ["--ro-bind", str(outside), inside]
    for path in room.shared:
        args += ["--bind", str(path), str(path)]
    for name, value in room.environment.items():
        args += ["--setenv", name, value]
    # The root and /dev are file systems in memory without a bound: nothing may be written there.
    args += ["--remount-ro", "/dev", "--remount-ro", "/"]
    args += ["--chdir", WORK, "--"]
    file_size = f"--fsize={room.max_file_mb << 20}"
    return [*args, "prlimit", "--core=0", file_size, f"--nofile={room.max_descriptors}"]


def python_folders() -> list[Path]:
    """Return the folders that this interpreter runs from: its prefixes and the engine's package."""
    found: list[Path] = []
    package = Path(__file__).resolve().parent.parent
    for folder in (Path(sys.prefix), Path(sys.base_prefix), package):
        inside_another = any(folder.is_relative_to(known) for known in (*found, Path("/usr")))
        if not inside_another:
            found.append(folder)
    return found
