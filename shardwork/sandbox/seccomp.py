"""The system call filter of a sandbox: what Python, Java and their libraries need, and no more.

An allow-list, so that a call that the kernel learns next year is refused too. Made once, by
libseccomp, for the machine's own architecture; the sandbox's first process puts it over itself.
"""

from __future__ import annotations

import errno
import functools
import itertools
import json
import platform
import socket
import tempfile
from typing import Any

from shardwork.errors import MachineError

INSTALL = "sudo apt-get install -y libseccomp2"

# Unknown calls get ENOSYS, so that a library falls back to an older call. The list follows what
# container engines allow by default, without what is listed under "left out" below.
_ALLOWED = """
accept accept4 access alarm arch_prctl bind brk capget chdir chmod chown clock_getres clock_gettime
clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create
epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat exit
exit_group faccessat faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat
fcntl fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate
futex futex_waitv futimesat get_mempolicy get_robust_list getcpu getcwd getdents getdents64 getegid
geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom
getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid
getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl ioprio_get kill lchown
lgetxattr link linkat listen listxattr llistxattr lremovexattr lseek lsetxattr lstat madvise mbind
membarrier mincore mkdir mkdirat mknod mknodat mlock mlockall mmap mprotect mremap msync munlock
munlockall munmap nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe
pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl pread64 preadv preadv2 prlimit64 pselect6
pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg
removexattr rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending
rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo
sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setscheduler
sched_yield select sendfile sendmmsg sendmsg sendto set_mempolicy set_robust_list set_tid_address
setgid setgroups setitimer setpgid setpriority setregid setresgid setresuid setreuid setrlimit
setsid setsockopt setuid setxattr shutdown sigaltstack splice stat statfs statx symlink
symlinkat sync_file_range sysinfo tee tgkill time timer_create timer_delete timer_getoverrun
timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times tkill truncate
umask uname unlink unlinkat utime utimensat utimes vfork wait4 waitid write writev
"""
# Left out on purpose: namespaces and mounts (unshare setns mount umount2 pivot_root chroot fsopen
# move_mount open_tree); other processes (ptrace process_vm_readv process_vm_writev process_madvise
# pidfd_getfd kcmp); kernel interfaces with a long history of holes (bpf io_uring_* userfaultfd
# perf_event_open keyctl add_key request_key vmsplice fanotify_*); memory outside every count
# (memfd_create memfd_secret shmget msgget semget mq_open); the machine (reboot kexec_* init_module
# swapon settimeofday acct quotactl syslog iopl ioperm personality).

_INTERNET = (socket.AF_INET, socket.AF_INET6)
_PROTOCOLS = (0, socket.IPPROTO_TCP, socket.IPPROTO_UDP)
_KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
_KIND_BITS = 0xF  # SOCK_TYPE_MASK; flags are above
_NETLINK_ROUTE = 0
_NEW_NAMESPACES = 0x7E020000
"""CLONE_NEW* (mount, cgroup, uts, ipc, user, pid, net): none may be set."""
# TIOCSTI and TIOCLINUX put input into a terminal, TIOCSETD loads kernel modules. The kernel looks
# at 32 bits of the number only.
_REFUSED_IOCTLS = (0x5412, 0x541C, 0x5423)
_IOCTL_BITS = 0xFFFF_FFFF


@functools.cache
def programs() -> tuple[bytes, ...]:
    """Return the filters as BPF programs, eight bytes an instruction; a call must pass them all.

    Raises MachineError where libseccomp is missing.
    """
    try:
        import pyseccomp as seccomp
    except (ImportError, RuntimeError, OSError) as error:
        raise MachineError(
            f"System calls of submissions cannot be filtered here: {error}. Install libseccomp "
            f"with `{INSTALL}`."
        ) from error
    allowed = seccomp.SyscallFilter(seccomp.ERRNO(errno.ENOSYS))

    def permit(name: str, *args: object) -> None:
        # A call that this architecture does not have needs no rule.
        if seccomp.resolve_syscall(seccomp.Arch.NATIVE, name) >= 0:
            allowed.add_rule(seccomp.ALLOW, name, *args)

    def is_(argument: int, value: int) -> object:
        return seccomp.Arg(argument, seccomp.EQ, value)

    for name in _ALLOWED.split():
        permit(name)
    for call in ("socket", "socketpair"):
        permit(call, is_(0, socket.AF_UNIX))
    # With another kind the kernel looks for a module that might know it.
    for family, kind, protocol in itertools.product(_INTERNET, _KINDS, _PROTOCOLS):
        of_kind = seccomp.Arg(1, seccomp.MASKED_EQ, _KIND_BITS, kind)
        permit("socket", is_(0, family), of_kind, is_(2, protocol))
    permit("socket", is_(0, socket.AF_NETLINK), is_(2, _NETLINK_ROUTE))
    # clone3 hides its flags from a filter: ENOSYS, and the C library uses clone.
    permit("clone", seccomp.Arg(0, seccomp.MASKED_EQ, _NEW_NAMESPACES, 0))
    refused = seccomp.SyscallFilter(seccomp.ALLOW)
    for number in _REFUSED_IOCTLS:
        refused.add_rule(
            seccomp.ERRNO(errno.EPERM),
            "ioctl",
            seccomp.Arg(1, seccomp.MASKED_EQ, _IOCTL_BITS, number),
        )
    return tuple(_exported(rules) for rules in (allowed, refused))


_ARCHITECTURES = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}
# What a container engine's runtime calls between the filter and the first program.
_OF_THE_RUNTIME = ("capget", "capset", "prctl", "seccomp", "setgroups", "fstatfs")


def profile() -> str:
    """Return the same list as a seccomp profile of a container engine (JSON).

    It holds for everything in a container; the filters of `programs` come on top of it for what
    runs the submission, and they alone look at the numbers of `ioctl`.
    """

    def arg(index: int, value: int, op: str, two: int = 0) -> dict[str, object]:
        return {"index": index, "value": value, "valueTwo": two, "op": op}

    def allow(names: list[str], *args: dict[str, object]) -> dict[str, object]:
        return {"names": names, "action": "SCMP_ACT_ALLOW", "args": list(args)}

    rules = [allow(sorted({*_ALLOWED.split(), *_OF_THE_RUNTIME}))]
    both = ["socket", "socketpair"]
    rules.append(allow(both, arg(0, socket.AF_UNIX, "SCMP_CMP_EQ")))
    for family, kind, protocol in itertools.product(_INTERNET, _KINDS, _PROTOCOLS):
        rules.append(allow(["socket"], arg(0, family, "SCMP_CMP_EQ"),
                           arg(1, _KIND_BITS, "SCMP_CMP_MASKED_EQ", kind),
                           arg(2, protocol, "SCMP_CMP_EQ")))  # fmt: skip
    rules.append(allow(["socket"], arg(0, socket.AF_NETLINK, "SCMP_CMP_EQ"),
                       arg(2, _NETLINK_ROUTE, "SCMP_CMP_EQ")))  # fmt: skip
    rules.append(allow(["clone"], arg(0, _NEW_NAMESPACES, "SCMP_CMP_MASKED_EQ")))
    # Said for itself: an engine that does not know the default below answers EPERM, and then the C
    # library does not try `clone`, so that no thread can be started (Docker 20.10).
    rules.append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS})
    return json.dumps({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": errno.ENOSYS,
        "architectures": [_ARCHITECTURES[platform.machine()]],
        "syscalls": rules,
    })  # fmt: skip


def _exported(rules: Any) -> bytes:
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()
