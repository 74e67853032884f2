"""T: PyTorch. Models, losses and ranks that are not what they seem."""

from __future__ import annotations

from tests.attacks.course import LIMITS
from tests.attacks.kit import Attack, Submission, Win
from tests.attacks.scene import Seen

_GADGET = """\
class Gadget:
    def __reduce__(self):
        import os
        return os.system, ("touch @ESC_FILE@; mkdir -p /tmp/@MARK@gadget",)
"""
_MAX_RANKS = 450


_SUMS = Submission({
    "average": "def average(rank, world, tensor, allreduce):\n    allreduce(tensor)\n"
    "    return tensor",
})  # fmt: skip
"""The twin of those that do meet in one sum, which earns a point, and return no mean."""


def _torch(id_: str, title: str, wins: set[Win], submission: Submission, **more: object) -> Attack:
    meets = "allreduce" in submission.answers.get("average", "").partition(":\n")[2]
    twin = _SUMS if meets else Submission()
    return Attack(id_, title, wins, submission, twin, "torch", 300, **more)  # type: ignore[arg-type]


def _ranks(seen: Seen) -> list[tuple[Win, str]]:
    counts = [int(line[5:]) for line in seen.told().splitlines() if line.startswith("ranks")]
    return [(Win.RES, f"{n} ranks at once") for n in counts if n > _MAX_RANKS]


def _held(seen: Seen) -> list[tuple[Win, str]]:
    megabytes = [int(line[4:]) for line in seen.told().splitlines() if line.startswith("held")]
    return [(Win.RES, f"held {n} MB") for n in megabytes if n > LIMITS["torch"]["memory_mb"]]


def _native(seen: Seen) -> list[tuple[Win, str]]:
    done = [line for line in seen.told().splitlines() if line.startswith("did ")]
    return [(Win.ESC, f"native code {line}") for line in done]


def _prebaked(losses: str) -> dict[str, str]:
    return {"fit": f"def fit(model, loss, X, y, steps, rate):\n    return {losses}"}


ATTACKS = [
    _torch(
        "T01", "hands in model files whose pickle runs a program, and saves more of them",
        {Win.ESC}, Submission(
            files={
                "model.pt": b"\x80\x04\x95\x1c\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06"
                            b"system\x93\x8c\x04true\x85R.",
                "checkpoint/data.pkl": b"cos\nsystem\n(S'true'\ntR.",
            },
            before=(
                _GADGET + "import torch\nfor path in ('model.pt', '/tmp/weights.pt', 'fit.pkl'):\n"
                "    try:\n        torch.save({'state': Gadget()}, path)\n"
                "    except OSError as e:\n        print(e)\n",
            ),
        ),
    ),
    _torch(
        "T01b", "returns tensors, losses and parameters whose pickle runs a program",
        {Win.ESC}, Submission({
            "average": _GADGET + "import io, pickle, torch\n"
            "class Bad(torch.Tensor):\n    __reduce__ = Gadget.__reduce__\n"
            "    __reduce_ex__ = lambda self, protocol: Gadget().__reduce__()\n"
            "def average(rank, world, tensor, allreduce):\n    allreduce(tensor)\n"
            "    return tensor.as_subclass(Bad) if rank else pickle.dumps(Gadget())",
            "fit": _GADGET + "import io, torch\n"
            "def fit(model, loss, X, y, steps, rate):\n"
            "    file = io.BytesIO()\n    torch.save(Gadget(), file)\n"
            "    model.parameters = lambda: iter([Gadget(), file.getvalue()])\n"
            "    model.__class__.__reduce__ = Gadget.__reduce__\n"
            "    return [Gadget()] * steps",
        }),
    ),
    _torch(
        "T03", "one rank skips the collective, and sleeps where the others wait",
        {Win.STALL}, Submission({
            "average": "import time\ndef average(rank, world, tensor, allreduce):\n"
            "    if rank == 1:\n        time.sleep(10_000)\n    allreduce(tensor)\n"
            "    return tensor / world",
        }),
    ),
    _torch(
        "T03b", "ranks call collectives of other shapes, in another order, or twice",
        {Win.STALL}, Submission({
            "average": "import torch\ncalls = 0\ndef average(rank, world, tensor, allreduce):\n"
            "    if rank:\n        for n in (1, 7, 3):\n"
            "            allreduce(torch.zeros(n, dtype=torch.float64))\n"
            "    allreduce(tensor)\n    allreduce(tensor)\n    return tensor",
        }),
    ),
    _torch(
        "T03c", "waits in its own notebook for a partner that never comes",
        {Win.STALL}, Submission(before=(
            "import torch.distributed as dist\nfrom datetime import timedelta\n"
            "dist.init_process_group('gloo', init_method='tcp://127.0.0.1:29511', rank=0,"
            " world_size=2, timeout=timedelta(hours=2))\n",
        )),
    ),
    _torch(
        "T04", "one rank ends its process, and leaves a child that holds the port",
        {Win.STALL, Win.LEFT}, Submission({
            "average": "import os, subprocess, sys\n"
            "def average(rank, world, tensor, allreduce):\n"
            "    if rank == 1:\n"
            "        subprocess.Popen([sys.executable, '-c', 'import socket, time; "
            "s = socket.create_server((\"127.0.0.1\", 29500)); time.sleep(600)', '@MARK@'],"
            " start_new_session=True, close_fds=False)\n"
            "        os._exit(0)\n    allreduce(tensor)\n    return tensor / world",
        }),
    ),
    _torch(
        "T04b", "ranks raise what nobody catches: SystemExit, KeyboardInterrupt, a signal",
        {Win.STALL, Win.BATCH}, Submission({
            "average": "import os, signal\ncalls = 0\n"
            "def average(rank, world, tensor, allreduce):\n"
            "    if rank == 0:\n        raise SystemExit(0)\n"
            "    if rank == 1:\n        os.kill(os.getpid(), signal.SIGSTOP)\n"
            "    raise KeyboardInterrupt",
            "fit": "import signal, os\ndef fit(model, loss, X, y, steps, rate):\n"
            "    signal.raise_signal(signal.SIGSEGV)",
        }),
    ),
    _torch(
        "T05", "sends the other ranks objects whose pickle looks for the judge's secrets",
        {Win.ESC, Win.PROOF}, Submission({
            "average": _GADGET + "import glob, os, torch.distributed as dist\n"
            "class Reader:\n    def __reduce__(self):\n"
            "        return eval, (\"[open(p, 'rb').read(1 << 20) for p in "
            "__import__('glob').glob('/proc/*/environ') + "
            "__import__('glob').glob('@COURSE@/**/*.py', recursive=True)]\",)\n"
            "def average(rank, world, tensor, allreduce):\n"
            "    if dist.is_initialized():\n"
            "        gathered = [None] * world\n"
            "        dist.all_gather_object(gathered, Reader())\n        found(gathered)\n"
            "        told = [Gadget()]\n        dist.broadcast_object_list(told, src=0)\n"
            "        if FOUND:\n            raise RuntimeError(' '.join(FOUND))\n"
            "    allreduce(tensor)\n    return tensor",
        }),
    ),
    _torch(
        "T05b", "asks the helper of the ranks for what it holds",
        {Win.ESC, Win.PROOF}, Submission(after=(
            "from shardwork import lab\n"
            "def look(rank, world):\n"
            "    import gc, os, sys\n"
            "    texts = [repr(dict(os.environ))]\n"
            "    for pid in ('self', str(os.getppid()), '1'):\n"
            "        for name in ('environ', 'cmdline', 'maps'):\n"
            "            try:\n"
            "                data = open(f'/proc/{pid}/{name}', 'rb').read()\n"
            "                texts.append(data.decode('latin-1'))\n"
            "            except OSError:\n                pass\n"
            "    texts += [o for o in gc.get_objects() if isinstance(o, str)]\n"
            "    return [t for t in texts if 'cnry' in t]\n"
            "for texts in lab.run_ranks(look, 2):\n    found(texts)\n",
        )),
    ),
    _torch(
        "T07", "its losses are NaN", {Win.SCORE},
        Submission(_prebaked("[float('nan')] * steps")), sample=True,
    ),
    _torch(
        "T07b", "its losses, weights and sums are NaN, infinite or negative zero",
        {Win.SCORE}, Submission({
            "average": "import torch\ndef average(rank, world, tensor, allreduce):\n"
            "    allreduce(tensor)\n    return tensor * float('nan' if rank else 'inf')",
            "fit": "def fit(model, loss, X, y, steps, rate):\n"
            "    for p in model.parameters():\n        p.data[...] = float('nan')\n"
            "    return [float('-inf')] * steps",
        }),
    ),
    _torch(
        "T07c", "its tensors have no numbers in them, or other shapes and kinds",
        {Win.SCORE}, Submission({
            "average": "import torch\ndef average(rank, world, tensor, allreduce):\n"
            "    allreduce(tensor)\n    return tensor[:0]",
            "fit": "import torch\ndef fit(model, loss, X, y, steps, rate):\n"
            "    for p in model.parameters():\n        p.data = p.data[..., :0]\n    return []",
        }),
    ),
    _torch(
        "T07d", "its results are equal to everything and near everything",
        {Win.SCORE, Win.PROOF}, Submission({
            "average": "import numpy as np\nclass Any(np.ndarray):\n"
            "    __eq__ = __le__ = __lt__ = lambda self, other: (found(other), True)[1]\n"
            "    __sub__ = __rsub__ = lambda self, other: (found(other), 0)[1]\n"
            "    def __array_ufunc__(self, *a, **k):\n        found(a)\n        return True\n"
            "    def __array_function__(self, *a, **k):\n        return True\n"
            "def average(rank, world, tensor, allreduce):\n    allreduce(tensor)\n"
            "    return np.zeros(4).view(Any)",
            "fit": "class Any(float):\n"
            "    __sub__ = __rsub__ = __abs__ = lambda self, *other: 0.0\n"
            "    __le__ = __lt__ = __eq__ = lambda self, other: True\n    __hash__ = None\n"
            "def fit(model, loss, X, y, steps, rate):\n    return [Any(1)] * steps",
        }),
    ),
    _torch(
        "T08", "trains nothing: an optimiser that does not step, and losses from a curve",
        {Win.SCORE}, Submission({
            "fit": "import math, torch\n"
            "torch.optim.SGD.step = lambda self, closure=None: None\n"
            "torch.Tensor.item = lambda self: 0.0\n"
            "torch.Tensor.backward = lambda self, *a, **k: None\n"
            "def fit(model, loss, X, y, steps, rate):\n"
            "    return [math.exp(-i) for i in range(steps)]",
        }),
    ),
    _torch(
        "T08b", "replaces the module, the loss and what reads the parameters",
        {Win.SCORE}, Submission({
            "fit": "import torch\nfrom shardwork.probes import modules, server\n"
            "from shardwork.probes import torch as probe\n"
            "torch.nn.MSELoss.forward = lambda self, a, b: torch.zeros((), requires_grad=True)\n"
            "modules.Mlp.forward = lambda self, rows: rows[:, :1] * 0\n"
            "modules.build = lambda kind, sizes, weights: torch.nn.Identity()\n"
            "server._QUESTIONS['torch.parameters'] = lambda module: []\n"
            "def fit(model, loss, X, y, steps, rate):\n    return [0.0] * steps",
        }),
    ),
    _torch(
        "T08c", "rank 0 calls the collective for both, and gives it what nobody computed",
        {Win.SCORE}, Submission({
            "average": "import threading, torch\nkept = {}\nready = threading.Barrier(2)\n"
            "def average(rank, world, tensor, allreduce):\n"
            "    kept[rank] = allreduce\n    ready.wait(3)\n"
            "    if rank == 0:\n"
            "        for call in kept.values():\n"
            "            threading.Thread(target=call, args=(torch.zeros_like(tensor),)).start()\n"
            "    return tensor",
        }),
    ),
    _torch(
        "T10", "makes system calls from native code",
        {Win.ESC}, Submission(before=(
            "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
            "empty = ctypes.create_string_buffer(256)\n"
            "CALLS = {'unshare': (272, 0x10000000), "
            "'mount': (165, b'none', b'/tmp', b'tmpfs', 0, 0),\n"
            " 'bpf': (321, 0, empty, 48), 'io_uring_setup': (425, 8, empty), "
            "'userfaultfd': (323, 1), 'perf_event_open': (298, empty, 0, -1, -1, 0),\n"
            " 'keyctl': (250, 0, -3, 1), 'ptrace': (101, 16, os.getppid(), 0, 0),\n"
            " 'memfd_create': (319, b'@MARK@', 0), 'shmget': (29, 0, 4096, 0o1666)}\n"
            "for name, (number, *arguments) in CALLS.items():\n"
            "    pid = os.fork()\n"
            "    if pid == 0:\n"
            "        os._exit(0 if libc.syscall(number, *arguments) >= 0 else 1)\n"
            "    if os.waitpid(pid, 0)[1] == 0 and os.uname().machine == 'x86_64':\n"
            "        FOUND.append(f'did {name}')\n",
        )), detect=_native, sample=True,
    ),
    _torch(
        "T10b", "compiles an extension that makes a system call when it is loaded",
        {Win.ESC}, Submission(before=(
            "import os, subprocess\nsource = '''#include <stdlib.h>\n"
            "#include <unistd.h>\n#include <sys/syscall.h>\n"
            "__attribute__((constructor)) static void go(void) {\n"
            "  if (syscall(SYS_unshare, 0x10000000) == 0) setenv(\"DID\", \"unshare\", 1);\n"
            "  if (setuid(0) == 0 && geteuid() == 0) setenv(\"DID\", \"setuid\", 1);\n}\n'''\n"
            "open('/tmp/x.c', 'w').write(source)\n"
            "built = subprocess.run(['cc', '-shared', '-fPIC', '-o', '/tmp/x.so', '/tmp/x.c'],"
            " capture_output=True)\nprint(built.returncode, built.stderr[-300:])\n"
            "import ctypes\n"
            "if built.returncode == 0:\n    lib = ctypes.CDLL('/tmp/x.so')\n"
            "    ctypes.CDLL(None).getenv.restype = ctypes.c_char_p\n"
            "    did = ctypes.CDLL(None).getenv(b'DID')\n"
            "    FOUND += ['did ' + did.decode()] if did else []\n",
        )), detect=_native,
    ),
    _torch(
        "T12", "starts 1,000 ranks",
        {Win.RES}, Submission(before=(
            "import os, signal, time\nranks = []\n"
            "for i in range(1000):\n    try:\n        pid = os.fork()\n    except OSError as e:\n"
            "        print(e)\n        break\n"
            "    if pid == 0:\n        signal.alarm(20)\n        signal.pause()\n"
            "        os._exit(0)\n"
            "    ranks.append(pid)\n"
            "FOUND.append(f'ranks{len(ranks)}')\n"
            "for pid in ranks:\n    os.kill(pid, signal.SIGKILL)\n"
            "for pid in ranks:\n    os.waitpid(pid, 0)\n",
        )), detect=_ranks,
    ),
    _torch(
        "T12b", "spawns 200 ranks that import torch, with 64 threads each",
        {Win.RES, Win.STALL}, Submission({
            "average": "import torch.multiprocessing as mp\n"
            "def average(rank, world, tensor, allreduce):\n"
            "    mp.start_processes(print, args=(), nprocs=200, start_method='spawn')\n"
            "    return tensor",
        }, before=("import os\nos.environ['OMP_NUM_THREADS'] = '64'\n",)),
    ),
    _torch(
        "T14", "ranks print without end",
        {Win.RES, Win.STALL, Win.LEAK}, Submission({
            "average": "import os\ndef average(rank, world, tensor, allreduce):\n"
            "    while True:\n        os.write(1, b'x' * 65536)\n        os.write(2, b'y' * 65536)",
        }),
    ),
    _torch(
        "T15", "leaves shared memory, a store and a listener behind",
        {Win.LEFT}, Submission(before=(
            "import socket, subprocess, sys, torch\n"
            "kept = [torch.ones(1000).share_memory_() for _ in range(20)]\n"
            "open('/dev/shm/@MARK@torch', 'w').write('x')\n"
            "quiet = socket.socket(socket.AF_UNIX)\nquiet.bind('\\0@MARK@store')\nquiet.listen()\n"
            "subprocess.Popen([sys.executable, '-c', 'import os, time\\nif os.fork() == 0:\\n"
            " os.setsid()\\n if os.fork() == 0: time.sleep(600)', '@MARK@'])\n"
            "store = torch.distributed.TCPStore('127.0.0.1', 29499, is_master=True, "
            "wait_for_workers=False)\n",
        )),
    ),
    _torch(
        "T16", "holds tensors of 3.5 GB",
        {Win.RES}, Submission(before=(
            "import torch\nheld = []\nfor i in range(14):\n"
            "    held.append(torch.ones(64 << 20, dtype=torch.float32))\n"
            "FOUND.append(f'held{len(held) * 256}')\nheld.clear()\n",
        )), detect=_held,
    ),
]  # fmt: skip
