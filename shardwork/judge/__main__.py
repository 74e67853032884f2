"""`python -m shardwork.judge [DESCRIPTOR]`: read a Job from stdin, write Events to stdout.

The descriptor is the control socket of the batch's zygote.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

from shardwork.judge.process import run_job

PR_SET_PDEATHSIG = 1
MAX_MEMORY_BYTES = 4 << 30
"""Should all bounds on what a sandbox says fail, the judge ends, and not the machine."""


def main() -> None:
    """Do one job. The real standard output is kept for events; prints go to standard error."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the batch's to handle
    events = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    control = int(sys.argv[1]) if len(sys.argv) > 1 else None
    run_job(sys.stdin.buffer.read(), events, control)


if __name__ == "__main__":
    main()
