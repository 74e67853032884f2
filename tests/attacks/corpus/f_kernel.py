"""F16, F17: system calls that no submission needs, and privileges that none may get.

A call that only fails with its arguments was let through to the kernel, holes and all: that is a
win already. Refused are ENOSYS, EPERM and EACCES.
"""

from __future__ import annotations

from tests.attacks.kit import Attack, Submission, Win
from tests.attacks.scene import Seen

TRY = r"""
def did(what):
    "Tell the runner that something worked that should not have."
    FOUND.append("DID " + what)
def tried(function):
    try:
        return function()
    except Exception:
        return None
def attempt(what, function):
    if tried(function):
        did(what)
"""
"""Defines `attempt(what, function)`: if it returns something true, that is told to the runner."""

CALLS = r"""
import ctypes, errno, os, struct
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
REFUSED = (errno.ENOSYS, errno.EPERM, errno.EACCES)
def call(number, *args):
    "Whether the kernel looked at the call at all, or did it."
    ctypes.set_errno(0)
    args = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    result = libc.syscall(ctypes.c_long(number), *args)
    return result != -1 or ctypes.get_errno() not in REFUSED
def each(**calls):
    for name, (number, *args) in calls.items():
        attempt(name, lambda: call(number, *args))
"""
"""Defines `call`, by the numbers of x86-64 (arch/x86/entry/syscalls/syscall_64.tbl, Linux 6.1)."""


def did(seen: Seen) -> list[tuple[Win, str]]:
    """Find what a submission says it has managed to do."""
    lines = [line for line in seen.told().splitlines() if line.startswith("DID ")]
    return [(Win.ESC, f"it did: {line.removeprefix('DID ')}") for line in lines]


_NAMESPACES = r"""
flags = dict(mount=0x20000, cgroup=0x2000000, uts=0x4000000, ipc=0x8000000, user=0x10000000,
             pid=0x20000000, net=0x40000000, time=0x80)
for name, flag in flags.items():
    attempt("unshare " + name, lambda: call(272, flag))
def clone(flags):
    ctypes.set_errno(0)
    pid = libc.syscall(ctypes.c_long(56), ctypes.c_long(flags | 17), 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    if pid > 0:
        os.waitpid(pid, 0)
    return pid > 0 or ctypes.get_errno() not in REFUSED
for name, flag in flags.items():
    if name != "time":
        attempt("clone " + name, lambda: clone(flag))
args = ctypes.create_string_buffer(struct.pack("8Q", 0x10000000, 0, 0, 0, 17, 0, 0, 0) + bytes(24))
def clone3():
    pid = libc.syscall(ctypes.c_long(435), args, ctypes.c_long(88))
    if pid == 0:
        os._exit(0)
    return pid != -1 or ctypes.get_errno() != errno.ENOSYS
attempt("clone3", clone3)
for name in os.listdir("/proc/self/ns"):
    for pid in ("self", "1", str(os.getppid())):
        fd = tried(lambda: os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY))
        if fd:
            attempt(f"setns {name} of {pid}", lambda: call(308, fd, 0))
attempt("setns by a process", lambda: call(308, os.pidfd_open(1), 0x20000000))
attempt("unshare(1)", lambda: os.system("unshare -Ur true 2>/dev/null") == 0)
attempt("bwrap in bwrap", lambda: os.system("bwrap --ro-bind / / true 2>/dev/null") == 0)
attempt("more namespaces",
        lambda: open("/proc/sys/user/max_user_namespaces", "w").write("100") > 0)
"""
_MOUNTS = r"""
text = ctypes.create_string_buffer
attempt("mount tmpfs", lambda: call(165, text(b"x"), text(b"/tmp"), text(b"tmpfs"), 0, 0))
attempt("remount", lambda: call(165, text(b"x"), text(b"/usr"), text(b""), 0x1020, 0))
attempt("bind", lambda: call(165, text(b"/"), text(b"/tmp"), text(b""), 0x5000, 0))
attempt("proc", lambda: call(165, text(b"x"), text(b"/tmp"), text(b"proc"), 0, 0))
attempt("umount", lambda: call(166, text(b"/proc"), 2))
os.makedirs("/tmp/r/old", exist_ok=True)
attempt("pivot_root", lambda: call(155, text(b"/tmp/r"), text(b"/tmp/r/old")))
attempt("chroot", lambda: call(161, text(b"/tmp/r")))
each(fsopen=(430, text(b"tmpfs"), 0), open_tree=(428, -100, text(b"/"), 1),
     move_mount=(429, 3, text(b""), -100, text(b"/tmp"), 4), fsmount=(432, 3, 0, 0),
     fspick=(433, -100, text(b"/"), 0), mount_setattr=(442, -100, text(b"/"), 0, text(32), 32))
attempt("mount(8)", lambda: os.system("mount -t tmpfs x /tmp 2>/dev/null") == 0)
attempt("fusermount", lambda: os.system("fusermount -V >/dev/null 2>&1 && "
                                        "fusermount -u /proc 2>/dev/null") == 0)
"""
_INTERFACES = r"""
buffer = ctypes.create_string_buffer(256)
each(bpf=(321, 0, buffer, 72), bpf_load=(321, 5, buffer, 72), io_uring_setup=(425, 4, buffer),
     io_uring_register=(427, 0, 0, 0, 0), userfaultfd=(323, 1), userfaultfd_all=(323, 0),
     perf_event_open=(298, buffer, 0, -1, -1, 0), keyctl=(250, 0, -1, 1),
     add_key=(248, b"user\0", b"@MARK@\0", b"x", 1, -3),
     request_key=(249, b"user\0", b"@MARK@\0", 0, 0),
     vmsplice=(278, 1, buffer, 0, 0), fanotify_init=(300, 0x200, 0),
     landlock=(444, 0, 0, 1), seccomp_listener=(317, 1, 8, buffer),
     name_to_handle_at=(303, -100, b"/\0", buffer, buffer, 0),
     open_by_handle_at=(304, 3, buffer, 0), lookup_dcookie=(212, 0, buffer, 1),
     modify_ldt=(154, 1, buffer, 16), personality=(135, 0x0040000), uselib=(134, b"/tmp/x\0"),
     io_setup=(206, 4, buffer), process_madvise=(440, -1, buffer, 1, 1, 0),
     map_shadow_stack=(453, 0, 4096, 0), ustat=(136, 0, buffer))
"""
_PROCESSES = r"""
buffer = ctypes.create_string_buffer(256)
pid = os.fork()
if pid == 0:
    import time
    time.sleep(20)
    os._exit(0)
each(ptrace_attach=(101, 16, pid, 0, 0), ptrace_seize=(101, 0x4206, pid, 0, 0),
     ptrace_init=(101, 16, 1, 0, 0), traceme=(101, 0, 0, 0, 0),
     process_vm_readv=(310, pid, buffer, 1, buffer, 1, 0),
     process_vm_writev=(311, pid, buffer, 1, buffer, 1, 0),
     kcmp=(312, os.getpid(), pid, 0, 0, 0), migrate_pages=(256, 0, 1, buffer, buffer),
     move_pages=(279, 0, 0, buffer, 0, 0, 0))
fd = os.pidfd_open(pid)
attempt("pidfd_getfd", lambda: call(438, fd, 1, 0))
os.kill(pid, 9)
os.waitpid(pid, 0)
def above():
    "A process that runs without our filter, whose memory could be written."
    for name in os.listdir("/proc"):
        if name.isdigit():
            with open(f"/proc/{name}/status") as file:
                filtered = "Seccomp:\t2" in file.read()
            if not filtered:
                tried(lambda: did(f"memory of {name}: {open(f'/proc/{name}/mem', 'r+b').name}"))
tried(above)
"""
_UNCOUNTED = r"""
buffer = ctypes.create_string_buffer(256)
each(memfd_create=(319, b"x\0", 0), memfd_secret=(447, 0), shmget=(29, 0, 4096, 0o1600),
     msgget=(68, 0, 0o1600), semget=(64, 0, 4, 0o1600), mq_open=(240, b"x\0", 0o102, 0o600, 0),
     shmat=(30, 0, 0, 0), semop=(65, 0, buffer, 1), msgsnd=(69, 0, buffer, 1, 0))
attempt("shared memory of the machine", lambda: len(open("/proc/sysvipc/shm").readlines()) > 1)
"""
_MACHINE = r"""
buffer = ctypes.create_string_buffer(256)
def clock():
    import time
    time.clock_settime(time.CLOCK_REALTIME, time.time())
    return True
# Each with arguments that the kernel refuses after it has looked at who calls.
each(reboot=(169, 0, 0, 0, 0), kexec_load=(246, 0, 0, 0, -1),
     kexec_file_load=(320, -1, -1, 0, 0, -1), init_module=(175, 0, 0, 0),
     finit_module=(313, -1, 0, 0), delete_module=(176, b"@MARK@\0", 0),
     swapon=(167, b"/x\0", -1), swapoff=(168, b"/@MARK@\0"), acct=(163, b"/@MARK@\0"),
     settimeofday=(164, 0, 0), adjtimex=(159, buffer), clock_adjtime=(305, 0, buffer),
     sethostname=(170, b"x\0", -1), setdomainname=(171, b"x\0", -1),
     quotactl=(179, -1, 0, 0, 0), syslog=(103, 3, buffer, 0), iopl=(172, 99),
     ioperm=(173, 0, 0, 0), sysfs=(139, 3), nfsservctl=(180, 0), vhangup=(153,))
attempt("sets the clock", clock)
for path in ("/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe",
             "/proc/sys/kernel/hostname", "/proc/sys/vm/drop_caches", "/proc/sys/fs/binfmt_misc/x",
             "/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/shmmax",
             "/proc/sys/kernel/randomize_va_space", "/proc/sys/kernel/panic", "/proc/irq/default_"
             "smp_affinity", "/proc/mtrr", "/proc/scsi/scsi", "/proc/acpi/wakeup"):
    # The file that stands before a hidden one is /dev/null.
    attempt("opens " + path, lambda: os.readlink(f"/proc/self/fd/{os.open(path, os.O_WRONLY)}")
            .startswith("/proc") and not os.path.samefile(path, "/dev/null"))
import glob
for pattern in ("release_agent", "notify_on_release", "cgroup.procs", "memory.max",
                "memory.limit_in_bytes", "pids.max"):
    for path in glob.glob("/sys/fs/cgroup/**/" + pattern, recursive=True)[:5]:
        attempt("opens " + path, lambda: os.open(path, os.O_WRONLY) >= 0)
def lower(name, value):
    with open(f"/proc/self/{name}", "w") as file:
        file.write(value)
    return True
attempt("is the last that memory is taken from", lambda: lower("oom_score_adj", "-1000"))
attempt("is never scheduled away", lambda: os.sched_setscheduler(
    0, os.SCHED_FIFO, os.sched_param(1)) is None)
attempt("goes before others", lambda: os.nice(-5) < 0)
"""
_FAMILIES = r"""
import socket
NAMES = {"AX25": 3, "IPX": 4, "APPLETALK": 5, "NETROM": 6, "X25": 9, "ROSE": 11, "DECnet": 12,
         "KEY": 15, "PACKET": 17, "ECONET": 19, "RDS": 21, "IRDA": 23, "PPPOX": 24, "LLC": 26,
         "IB": 27, "MPLS": 28, "CAN": 29, "TIPC": 30, "BLUETOOTH": 31, "IUCV": 32, "RXRPC": 33,
         "PHONET": 35, "IEEE802154": 36, "CAIF": 37, "ALG": 38, "NFC": 39, "VSOCK": 40, "KCM": 41,
         "QIPCRTR": 42, "SMC": 43, "XDP": 44, "MCTP": 45}
for name, family in NAMES.items():
    for kind in (1, 2, 3, 5):
        attempt("socket of " + name, lambda: call(41, family, kind, 0))
    pair = (ctypes.c_int * 2)()
    attempt("pair of " + name, lambda: call(53, family, 1, 0, pair))
"""
_PROTOCOLS = r"""
import socket
for family in (2, 10):
    for kind, protocol in ((3, 1), (3, 6), (3, 255), (2, 1), (1, 132), (5, 132), (6, 33), (2, 136),
                           (1, 262), (1, 256), (3, 58), (10, 0)):
        attempt(f"protocol {protocol} kind {kind}", lambda: call(41, family, kind, protocol))
for protocol in range(1, 23):
    attempt(f"netlink {protocol}", lambda: call(41, 16, 3, protocol))
def vsock():
    with socket.socket(40, socket.SOCK_STREAM) as s:
        s.settimeout(1)
        s.connect((2, 1))
    return True
attempt("the hypervisor", vsock)
"""
_COMPATIBLE = r"""
import mmap
# The same calls through the doors of other instruction sets: `int 0x80` and the x32 numbers.
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
def through(code, argument):
    child = os.fork()
    if child == 0:
        page.seek(0)
        page.write(code)
        address = ctypes.addressof(ctypes.c_char.from_buffer(page))
        result = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_long)(address)(argument)
        os._exit(7 if ctypes.c_int(result).value >= 0 or -ctypes.c_int(result).value not in REFUSED
                 else 0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
# push rbx; mov ebx, edi; mov eax, 310 (unshare); int 0x80; pop rbx; ret
attempt("unshare by int 0x80", lambda: through(
    bytes.fromhex("5389fbb836010000cd805bc3"), 0x10000000))
# push rbx; mov eax, 359 (socket); mov ebx, edi (family); mov ecx, 1; xor edx, edx; int 0x80
attempt("socket by int 0x80", lambda: through(
    bytes.fromhex("5389fbb867010000b90100000031d2cd805bc3"), 40))
def x32(number, argument):
    child = os.fork()  # which a filter may kill at once
    if child == 0:
        os._exit(7 if call(0x40000000 + number, argument) else 0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
attempt("unshare by x32", lambda: x32(272, 0x10000000))
attempt("ptrace by x32", lambda: x32(521, 0))
"""
_TERMINALS = r"""
import fcntl, struct
REFUSED += (errno.ENOTTY, errno.EIO)
attempt("the batch's terminal", lambda: os.open("/dev/tty", os.O_RDWR) >= 0)
attempt("a console", lambda: os.open("/dev/console", os.O_RDWR) >= 0)
master, slave = os.openpty()
def control(fd, request, argument):
    try:
        fcntl.ioctl(fd, request, argument)
    except OSError as error:
        return error.errno not in REFUSED
    return True
os.setsid() if os.getpid() != os.getsid(0) else None
tried(lambda: fcntl.ioctl(slave, 0x540E, 0))
attempt("types into a terminal", lambda: control(slave, 0x5412, b"x"))
attempt("pastes into a console", lambda: control(slave, 0x541C, b"\x03" + bytes(20)))
for discipline in (1, 2, 3, 4, 5, 13, 15, 17, 21, 22, 25, 27):
    attempt(f"line discipline {discipline}",
            lambda: control(slave, 0x5423, struct.pack("i", discipline)))
"""
_SET_USER = r"""
import glob, stat, subprocess
before = os.getresuid()
def runs_as(*command):
    "Whether a program runs as another user than we are."
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=1)
    return done.returncode == 0 and b"uid=0" in done.stdout
HELPERS = [p for pattern in ("/usr/bin/*", "/usr/sbin/*", "/usr/local/bin/*", "/usr/libexec/*",
           "/usr/lib/openssh/*", "/usr/lib/dbus-1.0/*", "/usr/lib/polkit-1/*", "/opt/*/bin/*")
           for p in glob.glob(pattern)
           if os.path.isfile(p) and os.stat(p).st_mode & (stat.S_ISUID | stat.S_ISGID)]
for path in HELPERS[:20]:
    def identity(path=path):
        child = subprocess.Popen([path, "--help"], stdin=subprocess.PIPE,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            uids = {l for l in open(f"/proc/{child.pid}/status") if l.startswith("Uid")}
        finally:
            child.kill()
            child.wait()
        return any(line.split()[2] != str(os.geteuid()) for line in uids)
    attempt("another user by " + path, identity)
for command in (("sudo", "-n", "id"), ("su", "-c", "id"), ("pkexec", "id"),
                ("runuser", "-u", "root", "id")):
    attempt(command[0], lambda: runs_as(*command))
"""
_OWN_SET_USER = r"""
import shutil, subprocess
for folder in ("/tmp", "/dev/shm", os.path.expanduser("~"), os.getcwd()):
    path = folder + "/@MARK@id"
    tried(lambda: shutil.copy(shutil.which("id"), path))
    tried(lambda: os.chmod(path, 0o6755))
    tried(lambda: os.chown(path, 0, 0))
    tried(lambda: os.chmod(path, 0o6755))
    # cap_setuid+ep (linux/capability.h, revision 2)
    capability = struct.pack("<5I", 0x02000001, 1 << 7, 0, 0, 0)
    attempt("a file capability",
            lambda: os.setxattr(path, "security.capability", capability) is None)
    attempt("a file of root's", lambda: os.stat(path).st_uid == 0 and os.getuid() != 0)
    attempt("a program of root's", lambda: b"euid=0" in subprocess.run(
        [path], capture_output=True).stdout)
attempt("a device", lambda: os.mknod("/tmp/@MARK@dev", 0o600 | 0o020000, os.makedev(1, 1)) is None)
"""
_BECOMES = r"""
status = dict(l.rstrip("\n").split(":\t", 1) for l in open("/proc/self/status") if ":\t" in l)
for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
    attempt("holds capabilities " + name, lambda: int(status[name], 16) != 0)
attempt("may gain privileges", lambda: status["NoNewPrivs"].strip() != "1")
attempt("no filter", lambda: status["Seccomp"].strip() != "2")
attempt("is root", lambda: os.getuid() == 0 or os.geteuid() == 0)
attempt("is in groups", lambda: set(os.getgroups()) - {os.getgid(), 65534})
for uid in (0, 1, 1000 ^ 1, 65534, 0x40000000):
    attempt(f"setuid {uid}", lambda: uid != os.getuid() and os.setuid(uid) is None)
    attempt(f"setgid {uid}", lambda: uid != os.getgid() and os.setgid(uid) is None)
attempt("setgroups", lambda: os.setgroups([0]) is None)
header = struct.pack("Ii", 0x20080522, 0)
attempt("capset", lambda: libc.capset(header, b"\xff" * 24) == 0)
attempt("ambient", lambda: libc.prctl(47, 2, 7, 0, 0) == 0)
attempt("keeps capabilities", lambda: libc.prctl(8, 1, 0, 0, 0) == 0 and os.setuid(0) is None)
for name in ("uid_map", "gid_map", "setgroups"):
    def remap():
        with open(f"/proc/self/{name}", "w") as file:
            file.write("0 0 4294967295")
        return True
    attempt("writes " + name, remap)
attempt("newuidmap", lambda: os.system(f"newuidmap {os.getpid()} 0 0 1 2>/dev/null") == 0)
for name in ("RLIMIT_NPROC", "RLIMIT_NOFILE", "RLIMIT_FSIZE", "RLIMIT_MEMLOCK", "RLIMIT_CORE"):
    import resource
    def raised():
        hard = resource.getrlimit(getattr(resource, name))[1]
        resource.setrlimit(getattr(resource, name), (hard + 1, hard + 1))
        return hard != resource.RLIM_INFINITY
    attempt("raises " + name, raised)
"""


def _kernel(name: str, title: str, cell: str, *, sample: bool = False) -> Attack:
    return Attack(
        id=name, title=title, wins={Win.ESC}, sample=sample, detect=did,
        submission=Submission(before=(TRY + CALLS + cell,)),
    )  # fmt: skip


ATTACKS = [
    _kernel("F16", "makes new namespaces, or enters others", _NAMESPACES, sample=True),
    _kernel("F16b", "mounts, unmounts and changes its root", _MOUNTS),
    _kernel("F16c", "bpf, io_uring, userfaultfd, perf events, key rings and more", _INTERFACES),
    _kernel("F16d", "traces other processes and reads their memory", _PROCESSES),
    _kernel("F16e", "memory and queues that nobody counts", _UNCOUNTED),
    _kernel("F16f", "reboots, loads modules, sets the clock, writes /proc/sys", _MACHINE),
    _kernel(
        "F16g", "sockets of every family that the kernel has, one by one and in pairs",
        _FAMILIES,
    ),
    _kernel("F16h", "raw sockets and protocols that load modules", _PROTOCOLS),
    _kernel("F16i", "the same calls through the doors of other instruction sets", _COMPATIBLE),
    _kernel("F16j", "types into terminals, and loads line disciplines", _TERMINALS),
    _kernel("F17", "set-user-id programs, sudo, su", _SET_USER),
    _kernel("F17b", "set-user-id programs, file capabilities and devices of its own",
            _OWN_SET_USER),
    _kernel("F17c", "becomes another user, takes capabilities, raises its limits", _BECOMES),
]  # fmt: skip
