"""A Jupyter kernel provisioner whose kernel is a sandbox.

`jupyter_client` looks it up by the entry point `shardwork-sandbox`; the `Sandbox` that it starts is
the kernel manager's attribute of that name.
"""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from jupyter_client.provisioning import KernelProvisionerBase

from shardwork.sandbox.tree import CHANNELS

NAME = "shardwork-sandbox"


class SandboxProvisioner(KernelProvisionerBase):  # type: ignore[misc]
    """Start, signal and kill a kernel whose process tree is a sandbox."""

    @property
    def has_process(self) -> bool:
        return bool(self.parent.sandbox.alive)

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        prepared: dict[str, Any] = await super().pre_launch(cmd=[], **kwargs)
        return prepared

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        sandbox = self.parent.sandbox
        sandbox.start()
        ports = {f"{name}_port": number for number, name in enumerate(CHANNELS, start=1)}
        self.connection_info = {
            "transport": "ipc",
            "ip": sandbox.address,
            "key": sandbox.key.encode(),
            "signature_scheme": "hmac-sha256",
            "hb_port": len(CHANNELS) + 1,  # nothing listens there, and nobody asks
            **ports,
        }
        return self.connection_info

    async def poll(self) -> int | None:
        return None if self.parent.sandbox.alive else 0

    async def wait(self) -> int | None:
        while await self.poll() is None:
            await asyncio.sleep(0.02)
        return 0

    async def send_signal(self, signum: int) -> None:
        if signum == signal.SIGINT:
            self.parent.sandbox.interrupt()

    async def kill(self, restart: bool = False) -> None:
        self.parent.sandbox.kill()

    async def terminate(self, restart: bool = False) -> None:
        self.parent.sandbox.kill()

    async def cleanup(self, restart: bool = False) -> None:
        """Closing the sandbox is its session's work."""
