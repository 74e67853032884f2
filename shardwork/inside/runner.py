"""Run the notebook's cells on the sandbox's own kernel, one at a time, as the judge asks.

A Jupyter client that lives beside the kernel, in a process of its own, so that the trusted side
never parses a message of a kernel: it hears closed, bounded messages over a socket that the kernel
does not have. How long a cell may take is the trusted side's to decide.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import time
from typing import Any, NoReturn

from jupyter_client.blocking import BlockingKernelClient

from shardwork.wire import CellRan, Connection, Deadline, FromRunner, Listening, Serve, ToRunner
from shardwork.wire.messages import MAX_CELL_TEXT, MAX_ERROR_TEXT

READY_S = 120.0
_SUBSCRIBED_S = 0.2
SERVE = "from shardwork.probes.server import serve as _serve; _serve(get_ipython().user_ns)"
_FOREVER = Deadline(None)


def run_cells(descriptor: int, connection: dict[str, Any]) -> NoReturn:
    """Run what the judge asks for until it hangs up; at last, have the kernel itself serve it.

    `connection` is what a Jupyter connection file holds.
    """
    judge: Connection[FromRunner, ToRunner] = Connection(socket.socket(fileno=descriptor), ToRunner)
    client = BlockingKernelClient()
    client.load_connection_info(connection)
    client.start_channels(stdin=False, hb=False, control=False)
    _wait_until_it_is_heard(client)
    judge.send(Listening(), _FOREVER)
    while True:
        asked = judge.receive(_FOREVER)
        if isinstance(asked, Serve):
            # It stays until the judge hangs up: zmq sends from a thread, some time.
            client.iopub_channel.stop()
            client.execute(SERVE, silent=True, store_history=False)
            continue
        shown = _Shown()
        reply = client.execute_interactive(
            asked.source, store_history=False, allow_stdin=False, output_hook=shown.take
        )
        content = reply["content"]
        raised = content.get("status") != "ok"
        error = f"{content.get('ename', '')}: {content.get('evalue', '')}" if raised else ""
        ran = CellRan(asked.number, raised, shown.text, error[:MAX_ERROR_TEXT])
        judge.send(ran, _FOREVER)


def _wait_until_it_is_heard(client: BlockingKernelClient) -> None:
    """Wait until the kernel answers and what it publishes arrives here.

    A subscription takes effect some time after it was made, so a request is repeated until its own
    `idle` is heard. The client's `wait_for_ready` waits for 0.2 s of silence instead.
    """
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        asked = client.kernel_info()
        with contextlib.suppress(queue.Empty):
            while client.get_shell_msg(timeout=READY_S)["parent_header"].get("msg_id") != asked:
                pass
            while True:
                heard = client.get_iopub_msg(timeout=_SUBSCRIBED_S)
                ours = heard["parent_header"].get("msg_id") == asked
                if ours and heard["content"].get("execution_state") == "idle":
                    return
    raise TimeoutError("the kernel did not answer")


class _Shown:
    """What a cell prints and its last value: the part that its student reads in the feedback."""

    def __init__(self) -> None:
        self.text = ""

    def take(self, message: dict[str, Any]) -> None:
        content = message["content"]
        if message["msg_type"] == "stream" and content.get("name") == "stdout":
            self._add(content.get("text"))
        elif message["msg_type"] == "execute_result":
            self._add(f"{content.get('data', {}).get('text/plain', '')}\n")

    def _add(self, text: Any) -> None:
        if isinstance(text, str):
            room = MAX_CELL_TEXT - len(self.text)
            # Half a surrogate pair cannot travel.
            self.text += text[:room].encode("utf-8", "replace").decode()
