"""Which isolation this machine can give, found out by trying.

Isolation fails closed: a level that was asked for and cannot be reached is an error, and a weaker
one is used only when it was named.
"""

from __future__ import annotations

import functools
import shutil
import subprocess

from shardwork.course import Isolation
from shardwork.errors import MachineError

INSTALL = "sudo apt-get install -y bubblewrap"


@functools.cache
def bubblewrap_problem() -> str | None:
    """Return why bubblewrap cannot be used here, or None if it can."""
    program = shutil.which("bwrap")
    if program is None:
        return "bubblewrap (`bwrap`) is not installed"
    trial = [
        program, "--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000",
        "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp",
        "--die-with-parent", "--cap-drop", "ALL", "true",
    ]  # fmt: skip
    try:
        done = subprocess.run(trial, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap could not be started: {error}"
    if done.returncode:
        return f"bubblewrap cannot make a sandbox here: {done.stderr.strip()[:300]}"
    return None


def require(isolation: Isolation) -> None:
    """Raise MachineError, with the reason and the next step, if `isolation` cannot be given."""
    if isolation is Isolation.NONE:
        return
    problem = bubblewrap_problem()
    if problem is not None:
        raise MachineError(
            f"No submission was run: {problem}. Install it with `{INSTALL}` (or see "
            "docs/operator.md where namespaces are forbidden). To run submissions WITHOUT a "
            "sandbox, which lets them read and change everything you can, ask for it: "
            "`--isolation none`; every record will say so."
        )
