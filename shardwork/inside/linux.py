"""The Linux calls that Python 3.11 has no name for. Constants are those of x86-64 and arm64.

Source of the numbers: linux/sched.h, linux/mount.h, linux/prctl.h, linux/capability.h,
linux/seccomp.h (Linux 6.1).
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct

NAMESPACES = {
    "mount": 0x00020000,
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 0x20, 0x1000, 0x4000, 0x40000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP = 1, 4, 24
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 36, 38, 47
_PR_CAP_AMBIENT_CLEAR_ALL, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 4, 22, 2
_CAPABILITY_VERSION_3 = 0x20080522
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_ulong,
    ctypes.c_char_p,
]
_libc.umount2.argtypes = [ctypes.c_char_p, ctypes.c_int]
_libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]


class _FilterProgram(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def unshare(*names: str) -> None:
    """Leave the caller's namespaces of these names for new ones; `pid` is for its children."""
    flags = 0
    for name in names:
        flags |= NAMESPACES[name]
    _check(_libc.unshare(flags))


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    _check(
        _libc.mount(
            source.encode(), target.encode(), kind.encode(), flags, options.encode() or None
        )
    )


def bind(source: str, target: str) -> None:
    """Show `source` at `target` too. A read-only file system stays read-only."""
    mount(source, target, "", MS_BIND | MS_REC)


def make_read_only(target: str, flags: int) -> None:
    """Make a bind mount read-only; `flags` are those that its file system has, and keeps."""
    mount("none", target, "", MS_BIND | MS_REMOUNT | MS_RDONLY | flags)


def unmount(target: str) -> None:
    _check(_libc.umount2(target.encode(), 0))


def die_with_parent() -> None:
    """Be killed when the parent's thread ends. A change of user undoes this: call it after."""
    _prctl(_PR_SET_PDEATHSIG, 9)


def set_dumpable(dumpable: bool) -> None:
    """Say whether the process's files under /proc belong to its own user."""
    _prctl(_PR_SET_DUMPABLE, int(dumpable))


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def drop_capabilities() -> None:
    """Give up every capability, for this process and whatever it executes."""
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:  # noqa: PTH123
        last = int(file.read())
    with contextlib.suppress(PermissionError):  # held none to begin with
        for capability in range(last + 1):
            _prctl(_PR_CAPBSET_DROP, capability)
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    _check(_libc.capset(header, bytes(24)))


def refuse_new_privileges() -> None:
    """Make set-user-id programs and file capabilities have no effect."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def filter_calls(program: bytes) -> None:
    """Put a seccomp filter over this process and its descendants; it needs `no new privileges`."""
    filter_ = _FilterProgram(len(program) // 8, program)
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(filter_))


def bring_loopback_up() -> None:
    """Switch on `lo`, which is down in a new network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(sock, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def close_except(kept: set[int]) -> None:
    """Close every descriptor above 2 that is not in `kept`."""
    low = 3
    for descriptor in sorted(kept - {0, 1, 2}):
        os.closerange(low, descriptor)  # CPython 3.11 closes everything if told (3, 0)
        low = descriptor + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))


def _prctl(option: int, *args: int) -> None:
    _check(_libc.prctl(option, *args, *[0] * (4 - len(args))))


def _check(result: int) -> None:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
