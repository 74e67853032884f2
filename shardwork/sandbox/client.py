"""nbclient with bounds on what a cell may print and how long it may run."""

from __future__ import annotations

from typing import Any

from jupyter_client.asynchronous import AsyncKernelClient
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError
from nbformat import NotebookNode

from shardwork.wire import Deadline

MAX_OUTPUT_BYTES = 64 << 10


class QuietKernelClient(AsyncKernelClient):  # type: ignore[misc]
    """A client without heartbeats: its kernel's process is watched itself."""

    def start_channels(
        self,
        shell: bool = True,
        iopub: bool = True,
        stdin: bool = True,
        hb: bool = False,
        control: bool = True,
    ) -> None:
        super().start_channels(shell, iopub, stdin, False, control)


class BoundedClient(NotebookClient):  # type: ignore[misc]
    """nbclient that bounds a cell's output, and its time by `patience`."""

    patience: Deadline = Deadline(None)

    async def _async_handle_timeout(self, timeout: int, cell: NotebookNode | None = None) -> None:
        # Called again after each `timeout` seconds without a reply, once the kernel is seen alive.
        if self.patience.left() == 0.0:
            raise CellTimeoutError("the cell's time was up")

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> Any:
        content = msg.get("content", {})
        kind = msg.get("msg_type")
        if kind in ("comm_open", "comm_msg", "comm_close", "update_display_data"):
            return None
        if kind == "stream" and isinstance(content.get("text"), str):
            kept = sum(len(o.get("text", "")) for o in cell.outputs if o.output_type == "stream")
            content["text"] = content["text"][: max(0, MAX_OUTPUT_BYTES - kept)]
            if not content["text"]:
                return None
        elif kind in ("display_data", "execute_result") and len(cell.outputs) > 100:
            return None
        return super().process_message(msg, cell, cell_index)


def shown(output: NotebookNode) -> str:
    """Return what a cell's output says to the student: what it printed, and its last value."""
    if output.output_type == "stream" and output.name == "stdout":
        return str(output.text)
    if output.output_type == "execute_result":
        return str(output.data.get("text/plain", "")) + "\n"
    return ""
