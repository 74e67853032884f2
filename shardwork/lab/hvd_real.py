"""Real Horovod (0.28.1) between the ranks of `run_ranks`: what `horovodrun --gloo` would set up.

The ranks know each other through `torch.distributed` already. Rank 0 serves Horovod's rendezvous,
and every rank gets the environment by which `horovod.torch.init` finds it.
"""

from __future__ import annotations

import os
from typing import Any

_STALL_S = 5
"""After this, ranks that wait for one that does not come get an error."""

_kept: list[Any] = []


def join() -> None:
    """Prepare `horovod.torch.init` in this rank; does nothing outside of `run_ranks`."""
    import torch.distributed as dist

    if not dist.is_initialized() or "HOROVOD_RANK" in os.environ:
        return
    rank, size = dist.get_rank(), dist.get_world_size()
    port = [_serve(size) if rank == 0 else 0]
    dist.broadcast_object_list(port, 0)
    os.environ.update(
        HOROVOD_RANK=str(rank),
        HOROVOD_SIZE=str(size),
        HOROVOD_LOCAL_RANK=str(rank),
        HOROVOD_LOCAL_SIZE=str(size),
        HOROVOD_CROSS_RANK="0",
        HOROVOD_CROSS_SIZE="1",
        HOROVOD_HOSTNAME="localhost",
        HOROVOD_CONTROLLER="gloo",
        HOROVOD_CPU_OPERATIONS="gloo",
        HOROVOD_GLOO_IFACE=os.environ.get("GLOO_SOCKET_IFNAME", "lo"),
        HOROVOD_GLOO_RENDEZVOUS_ADDR="127.0.0.1",
        HOROVOD_GLOO_RENDEZVOUS_PORT=str(port[0]),
        HOROVOD_STALL_CHECK_TIME_SECONDS=str(_STALL_S),
        HOROVOD_STALL_SHUTDOWN_TIME_SECONDS=str(_STALL_S + 1),
        HOROVOD_NUM_NCCL_STREAMS="1",
    )


def _serve(size: int) -> int:
    """Serve the rendezvous from this process, for all ranks on this machine; return the port."""
    from horovod.runner.common.util.hosts import HostInfo, get_host_assignments
    from horovod.runner.http.http_server import RendezvousServer

    server = RendezvousServer(0)
    port: int = server.start()
    server.init(get_host_assignments([HostInfo("localhost", size)], size))
    _kept.append(server)
    return port
