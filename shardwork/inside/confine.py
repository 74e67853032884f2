"""Shut the calling process in, step by step, as its `Confinement` says.

Called in the first process of a new PID namespace, before anything of a submission has come near
it. The order matters: mounts and the network need the capabilities that go last, and a filter that
forbids mounting must come after them.
"""

from __future__ import annotations

import functools
import os
import resource
from collections.abc import Callable
from pathlib import Path

from shardwork.inside import linux
from shardwork.inside.orders import Begin, Fork

SCRATCH = "/scratch"
"""Where the private file system is made, before it appears under the names that programs use."""
INSIDE_ID = 1000
PRIVATE = {"tmp": "/tmp", "shm": "/dev/shm", "home": "/home"}
"""Folders of the private file system, and where each of them appears."""


class StepFailed(Exception):
    """A step could not be taken; the process must not go on."""


def confine(begin: Begin, fork: Fork, kept: set[int]) -> None:
    """Shut this process in. Raises StepFailed, naming the step, if any step fails."""
    policy = begin.confinement
    own_mounts = "mount" in policy.namespaces

    def steps() -> list[tuple[str, Callable[[], None]]]:
        found: list[tuple[str, Callable[[], None]]] = []
        if policy.shed_descriptors:
            found.append(("descriptors", lambda: linux.close_except(kept)))
        if "uts" in policy.namespaces:
            found.append(("host name", lambda: _set_host_name("sandbox")))
        if "net" in policy.namespaces:
            found.append(("loopback", linux.bring_loopback_up))
        if own_mounts:
            found.append(("mounts", lambda: _mount(begin, fork)))
        found.append(("limits", lambda: _limit(policy.limits)))
        if fork.host_uid is not None:
            found.append(("user", lambda: _become(fork.host_uid or 0)))
        if policy.user_namespace:
            found.append(("user namespace", _enter_user_namespace))
        if policy.drop_capabilities:
            found.append(("capabilities", linux.drop_capabilities))
        if policy.no_new_privileges:
            found.append(("no new privileges", linux.refuse_new_privileges))
        for program in reversed(policy.seccomp):  # the first may forbid to add another
            found.append(("system call filter", functools.partial(linux.filter_calls, program)))
        return found

    for name, step in steps():
        try:
            step()
        except (OSError, ValueError) as error:
            raise StepFailed(f"{name}: {error}") from error


def _set_host_name(name: str) -> None:
    import socket

    socket.sethostname(name)


def _mount(begin: Begin, fork: Fork) -> None:
    policy = begin.confinement
    linux.unshare("mount")
    linux.mount("none", "/", "", linux.MS_REC | linux.MS_PRIVATE)
    careful = linux.MS_NOSUID | linux.MS_NODEV
    if "pid" in policy.namespaces:
        linux.mount("proc", "/proc", "proc", careful | linux.MS_NOEXEC)
        for path in policy.hidden:
            if Path(path).exists():
                linux.bind("/dev/null", path)
        for settings in Path("/proc/sys").iterdir():
            if settings.name != "user":  # where further namespaces are forbidden, below
                linux.bind(str(settings), str(settings))
                linux.make_read_only(str(settings), careful | linux.MS_NOEXEC)
    if Path("/dev/pts").is_dir():  # or terminals would be shared with the other children
        options = "newinstance,ptmxmode=0666,mode=0600"
        linux.mount("devpts", "/dev/pts", "devpts", linux.MS_NOSUID | linux.MS_NOEXEC, options)
    size = f"size={policy.scratch_mb}m,nr_inodes={policy.scratch_inodes},mode=0755"
    linux.mount("scratch", SCRATCH, "tmpfs", careful, size)
    for name, shown_at in PRIVATE.items():
        folder = Path(SCRATCH, name)
        folder.mkdir()
        folder.chmod(0o755 if name == "home" else 0o1777)
        linux.bind(str(folder), shown_at)
    linux.unmount(SCRATCH)
    for path, found_at in policy.covered.items():
        Path(path).mkdir(parents=True, exist_ok=True)
        linux.bind(found_at, path)
    Path(begin.work).mkdir(parents=True, exist_ok=True)
    if fork.files:
        for entry in sorted(Path(fork.files).iterdir()):
            place = Path(begin.work, entry.name)
            place.mkdir() if entry.is_dir() else place.touch()
            linux.bind(str(entry), str(place))
    if fork.host_uid is not None:
        for path in (begin.home, begin.work):
            os.chown(path, fork.host_uid, fork.host_uid)


def _limit(limits: dict[str, int]) -> None:
    for name, value in limits.items():
        number = getattr(resource, name)
        hard = resource.getrlimit(number)[1]
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (allowed, allowed))


def _become(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    linux.set_dumpable(True)  # or its own /proc/self/uid_map would belong to root


def _enter_user_namespace() -> None:
    uid, gid = os.geteuid(), os.getegid()
    linux.unshare("user")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{INSIDE_ID} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{INSIDE_ID} {gid} 1")
    # No namespace below this one, whatever the system call filter lets through.
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
