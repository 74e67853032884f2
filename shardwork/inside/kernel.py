"""The Jupyter kernel of a sandbox: ipykernel on sockets that the trusted side made.

The trusted side listens before anything of the submission runs, at paths that the sandbox cannot
see, and hands the listening sockets over; so no folder is shared, and no socket can be replaced.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import zmq
from ipykernel.kernelapp import IPKernelApp
from jupyter_client.session import Session
from traitlets.config import Config

from shardwork.wire.messages import JUDGE_FD_VARIABLE

MAX_TEXT_CHARS = 256 << 10
"""A longer text in an output is cut here already, or the trusted side would hang up on it."""


class BoundedSession(Session):  # type: ignore[misc]
    """Cut what a cell shows to a size that the other side accepts."""

    def serialize(self, msg: dict[str, Any], ident: Any = None) -> Any:
        content = msg.get("content")
        if isinstance(content, dict):
            kind = msg.get("header", {}).get("msg_type")
            if kind == "stream":
                content["text"] = _cut(content.get("text", ""))
            elif kind in ("display_data", "execute_result", "update_display_data"):
                content["data"] = {
                    name: data
                    for name, data in content.get("data", {}).items()
                    if name == "text/plain" or len(data) <= MAX_TEXT_CHARS
                }
                content["data"]["text/plain"] = _cut(content["data"].get("text/plain", ""))
            elif kind in ("error", "execute_reply") and "traceback" in content:
                content["evalue"] = _cut(content.get("evalue", ""))
                content["traceback"] = [_cut(line) for line in content["traceback"][-50:]]
        return super().serialize(msg, ident)


class SandboxKernel(IPKernelApp):  # type: ignore[misc]
    """An IPython kernel that is handed its sockets instead of finding a place for them."""

    listeners: list[int]

    def init_connection_file(self) -> None:
        pass

    def write_connection_file(self, **kwargs: Any) -> None:
        pass

    def init_heartbeat(self) -> None:
        """The trusted side sees by the process itself whether it is alive."""

    def init_control(self, context: Any) -> None:
        super().init_control(context)
        # A debugger would connect to the shell channel by its path, which is not in the sandbox.
        self.debug_shell_socket.disconnect(self.shell_socket.getsockopt(zmq.LAST_ENDPOINT))

    def _bind_socket(self, s: Any, port: int) -> int:
        number = len(self.listeners)
        s.setsockopt(zmq.USE_FD, self.listeners.pop(0))
        s.sndhwm = 0  # what is not yet fetched waits here, under this side's limit
        s.bind(f"ipc:///kernel/{number}")
        return number


def run_kernel(key: bytes, connection: int, listeners: tuple[int, ...]) -> None:
    """Run a kernel until it is told to shut down, or killed.

    `connection` is the descriptor on which it will serve the judge; `listeners` are those of the
    shell, stdin, control and iopub channels.
    """
    os.environ[JUDGE_FD_VARIABLE] = str(connection)
    sys.argv = ["shardwork-kernel"]
    config = Config()
    config.HistoryManager.enabled = False
    app = SandboxKernel.instance(config=config)
    app.listeners = list(listeners)
    app.transport, app.ip = "ipc", "/kernel"
    app.session = BoundedSession(parent=app, key=key)
    app.initialize([])
    app.start()


def _cut(text: Any) -> Any:
    if isinstance(text, str) and len(text) > MAX_TEXT_CHARS:
        return text[:MAX_TEXT_CHARS] + "\n[cut]"
    return text
