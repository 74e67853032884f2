"""A Jupyter kernel provisioner that starts the kernel inside a sandbox.

`jupyter_client` looks it up by the entry point `shardwork-sandbox`; the `Sandbox` it starts the
kernel in is the kernel manager's attribute of that name.
"""

from __future__ import annotations

from typing import Any

from jupyter_client.provisioning import LocalProvisioner

NAME = "shardwork-sandbox"


class SandboxProvisioner(LocalProvisioner):  # type: ignore[misc]
    """Start, signal and kill a kernel whose process tree is a sandbox."""

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        kwargs = await super().pre_launch(**kwargs)
        sandbox = self.parent.sandbox
        kwargs["cmd"] = sandbox.command_for(kwargs["cmd"])
        kwargs["env"] = sandbox.outer_environment
        kwargs["cwd"] = str(sandbox.folder)
        kwargs["pass_fds"] = sandbox.inherited
        kwargs["stdout"] = kwargs["stderr"] = sandbox.log
        return kwargs

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        info = await super().launch_kernel(cmd, **kwargs)
        self.parent.sandbox.started(self.process)
        return info

    async def kill(self, restart: bool = False) -> None:
        self.parent.sandbox.kill()
