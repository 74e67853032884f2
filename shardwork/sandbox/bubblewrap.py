"""The command line that puts a zygote into bubblewrap's read-only file system (bubblewrap 0.8).

What is inside: the system, the environment's Python packages, the engine's own package, Java, and
the released folders; loopback only. What is not: the course folder, graders, other submissions, the
caller's home and environment. A zygote that cannot make namespaces for its children gets here,
once for all, what they would have made: then it serves one submission only.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import msgspec

from shardwork.inside.confine import PRIVATE

HOME = "/home/student"
WORK = f"{HOME}/work"
_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
# What programs need of /etc; nothing in it is particular to a person.
_ETC = ("alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "fonts", "localtime",
        "mime.types", "ssl/openssl.cnf")  # fmt: skip
_OWN_ETC = Path(__file__).resolve().parent / "etc"
_ZYGOTE_TMP_MB = 64
_HELD = "/held"
# What a zygote needs to make its children's namespaces, mounts, loopback and user; they lose it.
_CAPABILITIES = ("SYS_ADMIN", "NET_ADMIN", "SETUID", "SETGID", "SETPCAP", "CHOWN", "KILL",
                 "SYS_RESOURCE", "DAC_OVERRIDE", "SYS_PTRACE", "SETFCAP")  # fmt: skip


class Room(msgspec.Struct, frozen=True):
    """What a zygote's file system holds beside the system, and how it is entered."""

    readable: dict[str, Path] = {}
    """Path inside to path outside, read-only."""
    privileged: bool = False
    """Whether the caller is root of the machine and needs no user namespace."""
    nested: bool = True
    """Whether children make namespaces of their own; if not, this is the sandbox itself."""
    scratch_mb: int = 1024

    @property
    def folders(self) -> dict[str, Path]:
        """Everything that is readable beside the system: path inside to path outside."""
        return {str(path): path for path in python_folders()} | self.readable

    @property
    def covered(self) -> dict[str, str]:
        """Folders that a child's private file system hides, and where it finds each of them."""
        places = [Path(place) for place in PRIVATE.values()]
        hidden = [f for f in self.folders if any(Path(f).is_relative_to(p) for p in places)]
        return {folder: f"{_HELD}/{number}" for number, folder in enumerate(hidden)}


def command(room: Room) -> list[str]:
    """Return the argument list to put before the program that shall run inside."""
    return [
        shutil.which("bwrap") or "bwrap",
        "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts",
        "--unshare-cgroup-try", "--hostname", "sandbox",
        "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL",
        *_identity(room), *_system(), *_places(room), *_folders(room),
        # The root and /dev are file systems in memory without a bound: nothing may be written.
        "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/", "--",
    ]  # fmt: skip


def _identity(room: Room) -> list[str]:
    if not room.nested:
        return ["--unshare-user", "--disable-userns", "--uid", "1000", "--gid", "1000"]
    user = [] if room.privileged else ["--unshare-user", "--uid", "0", "--gid", "0"]
    return [*user, *(arg for name in _CAPABILITIES for arg in ("--cap-add", f"CAP_{name}"))]


def _system() -> list[str]:
    args = ["--perms", "0755", "--dir", "/etc", "--ro-bind", "/usr", "/usr"]
    for name in _SYSTEM:
        path = Path(name)
        if path.is_symlink():
            args += ["--symlink", str(path.readlink()), name]
        elif path.is_dir():
            args += ["--ro-bind", name, name]
    for name in _ETC:
        args += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for path in sorted(_OWN_ETC.iterdir()):
        args += ["--ro-bind", str(path), f"/etc/{path.name}"]
    return args


def _places(room: Room) -> list[str]:
    """Where something may be written: by the zygote a little, by its children on their own."""
    args = ["--proc", "/proc", "--dev", "/dev", "--dir", "/scratch"]
    folders = {"/tmp": _ZYGOTE_TMP_MB}
    if not room.nested:
        folders = dict.fromkeys(("/dev/shm", "/tmp", "/home"), room.scratch_mb)
    for folder, size_mb in folders.items():
        args += ["--size", str(size_mb << 20), "--perms", "1777", "--tmpfs", folder]
    return [*args, "--dir", HOME, "--dir", WORK] if not room.nested else [*args, "--dir", "/home"]


def _folders(room: Room) -> list[str]:
    args = []
    readable = dict(room.folders)
    if room.nested:
        readable |= {held: room.folders[folder] for folder, held in room.covered.items()}
    # bubblewrap makes missing parents for its own user alone, and children are somebody else.
    parents = {str(parent) for inside in readable for parent in Path(inside).parents}
    for parent in sorted(parents - {"/", "/usr", *PRIVATE.values()}):
        args += ["--perms", "0755", "--dir", parent]
    for inside, outside in readable.items():
        args += ["--ro-bind", str(outside), inside]
    return args


def python_folders() -> list[Path]:
    """Return the folders that this interpreter runs from: its prefixes and the engine's package."""
    found: list[Path] = []
    package = Path(__file__).resolve().parent.parent
    for folder in (Path(sys.prefix), Path(sys.base_prefix), package):
        inside_another = any(folder.is_relative_to(known) for known in (*found, Path("/usr")))
        if not inside_another:
            found.append(folder)
    return found
