"""The Jupyter kernel of a sandbox: ipykernel, reached by the runner beside it and nobody else."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from ipykernel.kernelapp import IPKernelApp
from traitlets.config import Config

from shardwork.wire.messages import JUDGE_FD_VARIABLE


class SandboxKernel(IPKernelApp):  # type: ignore[misc]
    """An IPython kernel whose sockets are files in the sandbox's own file system."""

    def init_connection_file(self) -> None:
        pass

    def write_connection_file(self, **kwargs: Any) -> None:
        pass

    def init_heartbeat(self) -> None:
        """Whether it lives is seen by its process."""


def connection_to(folder: str, key: str) -> dict[str, Any]:
    """Return the connection information of a kernel whose sockets lie in `folder`."""
    Path(folder).mkdir(exist_ok=True)
    ports = ("shell", "stdin", "control", "iopub", "hb")
    return {
        "transport": "ipc",
        "ip": f"{folder}/k",
        "key": key,
        "signature_scheme": "hmac-sha256",
        **{f"{name}_port": number for number, name in enumerate(ports, start=1)},
    }


def run_kernel(connection: dict[str, Any], judge: int) -> None:
    """Run a kernel until it is killed; `judge` is the descriptor on which it will serve."""
    os.environ[JUDGE_FD_VARIABLE] = str(judge)
    sys.argv = ["shardwork-kernel"]
    sys.path.insert(0, "")  # as in any notebook: the zygote was started without
    config = Config()
    config.HistoryManager.enabled = False
    app = SandboxKernel.instance(config=config)
    app.load_connection_info(connection)
    app.initialize([])
    app.start()
