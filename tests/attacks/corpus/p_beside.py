"""P: reach beside: leaked descriptors, the zygote's memory, other sandboxes; hide from bounds."""

from __future__ import annotations

from tests.attacks.corpus.d_kill import ungraded
from tests.attacks.corpus.f_kernel import TRY, did
from tests.attacks.kit import Attack, Submission, Win
from tests.attacks.scene import Seen, victim_of

_DESCRIPTORS = r"""
import os, socket, stat
def read(path):
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if stat.S_ISREG(os.fstat(fd).st_mode):  # a pipe would wait
            found(os.pread(fd, 1 << 16, 0))
    finally:
        os.close(fd)
for pid in ["self", *(p for p in os.listdir("/proc") if p.isdigit())]:
    for name in tried(lambda: os.listdir(f"/proc/{pid}/fd")) or []:
        path = f"/proc/{pid}/fd/{name}"
        target = tried(lambda: os.readlink(path)) or ""
        if target.startswith("/") and not target.startswith(("/dev/", "/tmp/", "/proc/", "/home/")):
            did("an open file " + target)
        tried(lambda: read(path))
        if tried(lambda: stat.S_ISDIR(os.stat(path).st_mode)) and not target.startswith("/proc"):
            did("an open folder " + target)
            for entry in os.listdir(path):
                tried(lambda: read(f"{path}/{entry}"))
for fd in range(3, 300):
    tried(lambda: found(os.pread(fd, 1 << 16, 0)) if stat.S_ISREG(os.fstat(fd).st_mode) else None)
    s = tried(lambda: socket.socket(fileno=os.dup(fd)))
    if s is not None:
        tried(lambda: found(s.recv(1 << 16, socket.MSG_PEEK | socket.MSG_DONTWAIT)))
        if s.type == socket.SOCK_SEQPACKET:
            did("a socket of the zygote's kind")
        s.close()
    for up in ("..", "../../graders", "@COURSE@/graders/plain/test_product.py"):
        tried(lambda: found(os.pread(os.open(up, os.O_RDONLY, dir_fd=fd), 1 << 16, 0)))
"""
_OBJECTS = r"""
import gc, sys, types
FORM = _re.compile(r"cnry[a-z]{2}[0-9a-f]{32}")
own = {id(FOUND), id(globals())}
for thing in gc.get_objects():
    if id(thing) in own or isinstance(thing, types.FrameType):
        continue
    if isinstance(thing, (dict, list, tuple, set)):
        for item in list(thing.values() if isinstance(thing, dict) else thing):
            if isinstance(item, (str, bytes)) and len(item) < 1 << 20:
                found(item)
gc.unfreeze()
for module in list(sys.modules.values()):
    for name in ("__file__", "__path__"):
        if "graders" in str(getattr(module, name, "")):
            did("a module of the graders: " + str(module))
for name in sys.modules:
    if name.startswith(("shardwork.judge", "shardwork.batch", "shardwork.gradebook", "_pytest",
                        "nbgrader")):
        did("the zygote has imported " + name)
"""
_MEMORY = r"""
import os, time
def scan(pid):
    until = time.monotonic() + 5
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            place, rights, *_ = line.split()
            if "r" not in rights or "[v" in line or "/" in line:
                continue
            start, end = (int(x, 16) for x in place.split("-"))
            for at in range(start, min(end, start + (256 << 20)), 1 << 22):
                if time.monotonic() > until:
                    return
                memory.seek(at)
                # Not what this notebook itself brought in: its own token and its own pattern.
                data = memory.read(min(1 << 22, end - at))
                for hit in _re.findall(rb"cnry(?:te|gb|en|fi)[0-9a-f]{32}", data):
                    found(hit)
                if b"@COURSE@/graders" in data.replace(b"@COURSE@/graders/x", b""):
                    pass
for pid in ["self", *(p for p in os.listdir("/proc") if p.isdigit())]:
    tried(lambda: scan(pid))
"""
_SHARED = r"""
# Memory that is mapped from before the fork and shared with every sandbox of the batch.
with open("/proc/self/maps") as maps:
    for line in maps:
        rights = line.split()[1]
        if rights.endswith("s") and "w" in rights and "/tmp/" not in line and "(deleted)" in line:
            did("shared and writable: " + line.strip())
"""
_RENDEZVOUS = r"""
import glob, linecache, os, signal, socket, threading, time
ME = "".join(linecache.getlines(found.__code__.co_filename)[:1]).strip("# \n")
NAME = "\0swk-meet"
END = time.monotonic() + 6
def publish(path):
    with open(path, "w") as file:
        file.write(ME)
    os.chmod(path, 0o666)
def serve(sock):
    sock.listen()
    while True:
        c, _ = sock.accept()
        c.sendall(ME.encode())
        c.close()
def abstract():
    s = socket.socket(socket.AF_UNIX); s.bind(NAME + str(os.getpid())); serve(s)
def tcp():
    s = socket.socket(); s.setsockopt(1, 2, 1); s.setsockopt(1, 15, 1)
    s.bind(("", 45678)); serve(s)
def udp():
    s = socket.socket(type=socket.SOCK_DGRAM); s.setsockopt(1, 2, 1); s.setsockopt(1, 15, 1)
    s.bind(("", 45679))
    while True:
        found(s.recv(4096))
def terminal():
    import tty
    master, slave = os.openpty()
    tty.setraw(slave)
    tried(lambda: os.chmod(os.ttyname(slave), 0o666))
    while True:
        tried(lambda: os.write(master, ME.encode() + b"\n"))
        time.sleep(0.2)
for work in (abstract, tcp, udp, terminal):
    threading.Thread(target=tried, args=(work,), daemon=True).start()
PLACES = ["/tmp", "/dev/shm", "/var/tmp", "/run", "/run/lock", "/dev/mqueue", "/home", "/scratch",
          "/held", os.getcwd(), os.path.expanduser("~"), "/dev/pts", "/run/user/@UID@"]
for place in PLACES:
    tried(lambda: publish(f"{place}/swk-meet-{os.getpid()}-{id(FOUND)}"))
OWN_TTY = [os.ttyname(s) for s in range(3, 200) if tried(lambda: os.isatty(s))]
while time.monotonic() < END:
    for place in PLACES:
        for path in tried(lambda: glob.glob(place + "/swk-meet-*")) or []:
            tried(lambda: found(open(path).read()))
    with open("/proc/net/unix") as file:
        for line in file:
            if "swk-meet" in line:
                def ask(name=line.split()[-1]):
                    with socket.socket(socket.AF_UNIX) as s:
                        s.settimeout(0.3); s.connect("\0" + name[1:]); found(s.recv(4096))
                tried(ask)
    def ask_tcp():
        with socket.create_connection(("127.0.0.1", 45678), 0.3) as s:
            found(s.recv(4096))
    tried(ask_tcp)
    def tell_udp():
        with socket.socket(type=socket.SOCK_DGRAM) as s:
            s.setsockopt(1, 6, 1)
            for host in ("127.0.0.1", "127.255.255.255", "224.0.0.1"):
                tried(lambda: s.sendto(ME.encode(), (host, 45679)))
    tried(tell_udp)
    for path in glob.glob("/dev/pts/[0-9]*"):
        if path not in OWN_TTY:
            def peek(path=path):
                fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
                tried(lambda: os.write(fd, ME.encode() + b"\n"))
                found(os.read(fd, 4096))
            tried(peek)
    for pid in os.listdir("/proc"):
        if pid.isdigit() and pid != str(os.getpid()):
            for name in ("root/tmp", "root/dev/shm", "cwd"):
                for path in tried(lambda: glob.glob(f"/proc/{pid}/{name}/swk-meet-*")) or []:
                    tried(lambda: found(open(path).read()))
    time.sleep(0.1)
"""
_SEES_OTHERS = r"""
import os
# Ours are this process, its parents up to the first of the sandbox, and whatever they started.
pids = sorted(int(p) for p in os.listdir("/proc") if p.isdigit())
def commands():
    for pid in pids:
        line = tried(lambda: open(f"/proc/{pid}/cmdline", "rb").read()) or b""
        if b"shardwork.judge" in line or b"bwrap" in line or b"@COURSE@" in line:
            did(f"sees process {pid}: {line[:60]!r}")
commands()
if len(pids) > 8:
    did(f"sees {len(pids)} processes")
if os.getppid() != 1:
    did(f"its parent is process {os.getppid()}, not the first of a namespace of its own")
"""
_UNDUMPABLE = r"""
import ctypes, os, time
libc = ctypes.CDLL(None)
# A process whose memory nobody may look at, each part below the size that is looked at closely.
libc.prctl(4, 0, 0, 0, 0)
for _ in range(60):
    if os.fork() == 0:
        libc.prctl(4, 0, 0, 0, 0)
        block = bytearray(os.urandom(1 << 12)) * ((60 << 20) >> 12)
        time.sleep(60)
        os._exit(0)
time.sleep(6)
"""
_KEPT = r"""
import ctypes, fcntl, mmap, os, socket, time
MOST = 7 << 28  # the corpus is capped; the limit of its assignment is 1 GiB and 64 MiB
def told(kept_bytes):
    if kept_bytes > 3 << 29:
        did(f"holds {kept_bytes >> 20} MB that nobody counts")
    time.sleep(1)  # a watchdog may look once more
def in_processes(fill, processes=8):
    "Have `fill(most)` keep memory in several processes, and add up what they say."
    read, write = os.pipe()
    pids = []
    for _ in range(processes):
        pid = os.fork()
        if pid == 0:
            kept = []
            try:
                total = fill(kept, MOST // processes)
            except BaseException:
                total = 0
            os.write(write, total.to_bytes(8, "little"))
            time.sleep(30)
            os._exit(0)
        pids.append(pid)
    total = sum(int.from_bytes(os.read(read, 8), "little") for _ in pids)
    told(total)
    for pid in pids:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
def pour(write, data):
    total = 0
    try:
        while True:
            total += write(data)
    except OSError:
        return total
"""
_HIDDEN_MEMORY = (
    _KEPT
    + r"""
# Shared memory without a name, written and then let go of: it stays, and no process holds it.
KEPT = []
for _ in range(MOST // (128 << 20)):
    block = mmap.mmap(-1, 128 << 20)
    for at in range(0, 128 << 20, 4096):
        block[at] = 1
    block.madvise(mmap.MADV_DONTNEED)
    KEPT.append(block)
told(len(KEPT) << 27)
del KEPT
"""
)
_SOCKET_MEMORY = (
    _KEPT
    + r"""
def fill(kept, most):
    total = 0
    while total < most:
        try:
            pair = socket.socketpair()
        except OSError:
            return total
        for s in pair:
            s.setblocking(False)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            total += pour(s.send, bytes(65536))
        kept.append(pair)
    return total
in_processes(fill)
"""
)
_TCP_MEMORY = (
    _KEPT
    + r"""
def fill(kept, most):
    total = 0
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(4000)
        while total < most:
            try:
                a = socket.create_connection(listener.getsockname(), 1)
                b, _ = listener.accept()
            except OSError:
                return total
            for s in (a, b):
                s.setblocking(False)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
                total += pour(s.send, bytes(65536))
            kept.append((a, b))
    return total
in_processes(fill)
"""
)
_PIPES = (
    _KEPT
    + r"""
def fill(kept, most):
    total = 0
    while total < most:
        try:
            read, write = os.pipe()
        except OSError:
            return total
        try:
            fcntl.fcntl(write, 1031, 1 << 20)  # F_SETPIPE_SZ
        except OSError:
            pass
        os.set_blocking(write, False)
        total += pour(lambda data: os.write(write, data), bytes(65536))
        kept.append((read, write))
    return total
in_processes(fill)
"""
)
_LOG = r"""
import os, time
until = time.monotonic() + 6
fds = [fd for fd in range(1, 100) if (os.path.exists(f"/proc/self/fd/{fd}") or True)
       and str(tried(lambda: os.readlink(f"/proc/self/fd/{fd}"))).startswith("pipe:")]
while time.monotonic() < until:
    for fd in fds:
        os.set_blocking(fd, False)
        tried(lambda: os.write(fd, b"x" * 65536))
"""
_STOPS = r"""
import os, signal
# The first process, the runner of the cells, and last ourselves.
pids = [int(p) for p in os.listdir("/proc") if p.isdigit() and p != str(os.getpid())]
for pid in (*pids, os.getpid()) if os.getpid() < 100 else ():
    for number in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGSTOP):
        tried(lambda: os.kill(pid, number))
"""
_KILLS_RUNNER = r"""
import os, signal
for pid in [int(p) for p in os.listdir("/proc") if p.isdigit()] if os.getpid() < 100 else ():
    if pid not in (1, os.getpid()):
        os.kill(pid, signal.SIGKILL)
"""
_LOOKS_INTO_RUNNER = r"""
import os
pids = [int(p) for p in os.listdir("/proc") if p.isdigit()]
for pid in pids if os.getpid() < 100 else ():
    if pid in (1, os.getpid()):
        continue
    for name, flags in (("mem", os.O_RDWR), ("mem", os.O_RDONLY), ("environ", os.O_RDONLY),
                        ("maps", os.O_RDONLY), ("auxv", os.O_RDONLY)):
        attempt(f"opens {name} of the runner", lambda: os.open(f"/proc/{pid}/{name}", flags) >= 0)
    # Their numbers may be seen where this user is the root of the zygote's namespace.
    for fd in tried(lambda: os.listdir(f"/proc/{pid}/fd")) or ():
        path = f"/proc/{pid}/fd/{fd}"
        attempt("sees what a descriptor of the runner is", lambda: os.readlink(path))
        attempt("opens one", lambda: os.open(path, os.O_RDWR | os.O_NONBLOCK) >= 0)
    attempt("sees the runner's root", lambda: os.listdir(f"/proc/{pid}/root"))
"""
_FORGED_SOCKETS = r"""
import glob, os, socket, threading, time
# The kernel's sockets are files of ours: others take their places, for the runner to connect to.
for path in glob.glob(os.path.expanduser("~/.kernel/*")):
    tried(lambda: os.unlink(path))
    def serve(path=path):
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path)
            s.listen()
            while True:
                c, _ = s.accept()
                c.sendall(b"\xff" + os.urandom(5000))
    threading.Thread(target=tried, args=(serve,), daemon=True).start()
"""
_MANY_DESCRIPTORS = r"""
import os, socket, time
def hold():
    kept = []
    try:
        while True:
            kept.append(socket.socket())
    except OSError:
        pass
    time.sleep(30)
for _ in range(10):
    if os.fork() == 0:
        try:
            hold()
        finally:
            os._exit(0)
time.sleep(4)
"""
_SENDS_DESCRIPTORS = r"""
import array, os, socket
# Descriptors that pile up in the judge's sockets, until it closes them or has none left.
for fd in range(3, 100):
    s = tried(lambda: socket.socket(fileno=os.dup(fd)))
    if s is not None and s.family == socket.AF_UNIX:
        files = [os.open("/dev/null", os.O_RDONLY) for _ in range(200)]
        s.setblocking(False)
        for _ in range(3000):
            if tried(lambda: socket.send_fds(s, [b"\0"], files)) is None:
                break
        for file in files:
            os.close(file)
"""


def _met(seen: Seen) -> list[tuple[Win, str]]:
    """Find that the peer has heard of this one, or this one of the peer."""
    tokens = seen.scene.tokens
    found = []
    peer = victim_of(seen.attack, "peer")
    for reader, other in ((seen.attack.student, peer), (peer, seen.attack.student)):
        if tokens.other_of(other).text in seen.told(reader):
            found.append((Win.PROOF, f"{reader} has met {other}"))
    return found


def _held(seen: Seen) -> list[tuple[Win, str]]:
    """Find that a submission kept more memory than it may have: the kernel's, on its account."""
    return [(Win.RES, what) for _, what in did(seen)] + ungraded(seen)


def _beside(name: str, title: str, cell: str, wins: set[Win], *, sample: bool = False) -> Attack:
    return Attack(
        id=name, title=title, wins=wins, sample=sample,
        detect=did if wins & {Win.ESC, Win.PROOF} else ungraded,
        submission=Submission(before=(TRY + cell,)),
    )  # fmt: skip


_MEETS = Submission(before=(TRY + _RENDEZVOUS,))

ATTACKS = [
    _beside("P07", "looks through every open descriptor, its own and others'", _DESCRIPTORS,
            {Win.PROOF, Win.ESC}, sample=True),
    _beside("P08", "looks through all objects that it was born with", _OBJECTS,
            {Win.PROOF, Win.ESC}),
    _beside("P08b", "reads the memory of every process that it can see", _MEMORY,
            {Win.PROOF, Win.ESC}, sample=True),
    _beside("P08c", "looks for memory that is shared with the zygote", _SHARED,
            {Win.PROOF, Win.ESC}),
    Attack(
        id="P10", title="meets a sandbox that runs beside it: sockets, files, terminals",
        wins={Win.PROOF}, detect=_met, submission=_MEETS, victims={"peer": _MEETS}, sample=True,
    ),
    _beside("P10b", "sees processes that are not its own", _SEES_OTHERS, {Win.ESC}),
    _beside("P15", "hides its memory: many processes that may not be looked at", _UNDUMPABLE,
            {Win.RES, Win.STALL}),
    *(
        Attack(
            id=name, title=f"hides its memory: {where}", wins={Win.RES}, alone=True,
            needs=("cgroup",), detect=_held, submission=Submission(before=(TRY + cell,)),
        )
        for name, where, cell in (
            ("P15b", "shared, without a name, held by no process", _HIDDEN_MEMORY),
            ("P15c", "in Unix sockets that nobody reads", _SOCKET_MEMORY),
            ("P15d", "in pipes that nobody reads", _PIPES),
            ("P15e", "in TCP connections to itself", _TCP_MEMORY),
        )
    ),
    _beside("P16", "writes to every pipe that it was given, as fast as it can", _LOG,
            {Win.RES, Win.STALL}),
    _beside("P16b", "stops every process of its sandbox, and last itself", _STOPS, {Win.STALL}),
    _beside("P17", "kills the runner of its cells", _KILLS_RUNNER, {Win.STALL, Win.BATCH}),
    _beside("P17b", "looks into the runner of its cells", _LOOKS_INTO_RUNNER, {Win.ESC}),
    _beside("P17c", "puts other sockets where the runner's were", _FORGED_SOCKETS,
            {Win.STALL, Win.BATCH}),
    Attack(
        id="P16c", title="opens as many descriptors as it may, in ten processes",
        wins={Win.RES, Win.STALL}, detect=ungraded, alone=True,
        submission=Submission(before=(TRY + _MANY_DESCRIPTORS,)),
    ),
    _beside("P16d", "sends the judge descriptors, by the thousand", _SENDS_DESCRIPTORS,
            {Win.RES, Win.STALL, Win.BATCH}),
]  # fmt: skip
