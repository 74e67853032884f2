"""The one Dask client of a notebook, on a cluster of its own or one that is already there."""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed import Client

_DEFAULT_WORKERS = 2
_CONNECT_LIMIT_S = 30


@dataclass
class _Current:
    """What this notebook has started, if anything."""

    client: Any = None
    cluster: Any = None
    scratch: str | None = None


_current = _Current()


def dask_client() -> Client:
    """Return this notebook's Dask client; start its cluster on the first call.

    With `SHARDWORK_DASK_SCHEDULER` (an address such as `tcp://127.0.0.1:8786`) the client connects
    there. Otherwise a local cluster starts: `SHARDWORK_DASK_WORKERS` processes (default 2) with one
    thread each, on 127.0.0.1, spilling below the temporary directory; its dashboard takes a free
    port, and there is none in the sandbox. A client that was closed is replaced by a new one.

    Workers are processes, as on a real cluster, and they are spawned: a script (not a notebook)
    that calls this needs `if __name__ == "__main__":`. Raises RuntimeError where it is missing.
    """
    if _current.client is not None and _current.client.status == "running":
        return _current.client
    stop_dask()
    from distributed import Client

    address = os.environ.get("SHARDWORK_DASK_SCHEDULER")
    _current.client = Client(address or _start_cluster(), timeout=_CONNECT_LIMIT_S)
    return _current.client


def stop_dask() -> None:
    """Close the client and the cluster that `dask_client` started; twice is allowed."""
    old = replace(_current)
    _current.client = _current.cluster = _current.scratch = None
    try:
        if old.client is not None:
            old.client.close()
    finally:
        try:
            if old.cluster is not None:
                old.cluster.close()
        finally:
            if old.scratch is not None:
                shutil.rmtree(old.scratch, ignore_errors=True)


atexit.register(stop_dask)


def _start_cluster() -> Any:
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        # A worker is importing the script that started it: without this, it would start workers.
        raise RuntimeError(
            "lab.dask_client() was called while a worker was importing your script. Put the lines "
            'that use it under `if __name__ == "__main__":`.'
        )
    import dask.config
    from distributed import LocalCluster

    _current.scratch = tempfile.mkdtemp(prefix="shardwork-dask-")
    in_sandbox = os.environ.get("SHARDWORK_SANDBOX") == "1"
    # The scheduler has no argument for its folder, only this setting.
    with dask.config.set({"temporary-directory": _current.scratch}):
        _current.cluster = LocalCluster(
            n_workers=int(os.environ.get("SHARDWORK_DASK_WORKERS") or _DEFAULT_WORKERS),
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None if in_sandbox else "127.0.0.1:0",
            local_directory=_current.scratch,
            silence_logs=logging.ERROR,
        )
    return _current.cluster
