"""The notebook's end of `run_ranks` on a cluster: the ranks of one call, spread over its hosts.

Each host has a rank server that runs its share, rank `r` on host `r` modulo their number. The first
host keeps the store in which ranks find each other. When ranks of one host have failed, the others
are told to end theirs.
"""

from __future__ import annotations

import dataclasses
import random
import selectors
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from shardwork.lab.rank_frames import Call, Cancel, Done, Meeting, Output, RankState, Report

if TYPE_CHECKING:
    from shardwork.lab.ranks import Server

_CONNECT_LIMIT_S = 30.0
_GRACE_S = 30.0
_SETTLE_S = 1.0
_PORTS = (20_000, 30_000)
"""For the store: below those that the system hands out (ip_local_port_range of Linux)."""


class RankHosts:
    """Connections to the rank servers of `addresses`, `HOST:PORT` with commas between.

    `adopt` makes the notebook's end of one from a connected socket, `show` prints what a rank has
    printed. Raises RuntimeError, naming the
    host, where one cannot be reached.
    """

    def __init__(
        self,
        addresses: str,
        adopt: Callable[[socket.socket], Server],
        show: Callable[[Output], None],
    ) -> None:
        self._show = show
        self._hosts: list[str] = []
        self._servers: list[Server] = []
        try:
            for address in addresses.split(","):
                host, _, port = address.strip().rpartition(":")
                self._hosts.append(host)
                self._servers.append(adopt(_connect(host, port)))
        except BaseException:
            self.close()
            raise

    @property
    def usable(self) -> bool:
        """Whether all of them are there, and say nothing."""
        return bool(self._servers) and all(server.usable for server in self._servers)

    def close(self) -> None:
        """Hang up; each host then ends its ranks. Twice is allowed."""
        for server in self._servers:
            server.close()

    def call(self, call: Call) -> list[Report]:
        """Run one call, printing what the ranks print; return the reports in rank order."""
        shares = _shares(call.world_size, len(self._servers))
        port = random.Random().randrange(*_PORTS)  # the notebook's own seed is left alone
        used = self._servers[: len(shares)]
        try:
            for number, (server, ranks) in enumerate(zip(used, shares, strict=True)):
                meeting = Meeting(self._hosts[0], port, kept_here=number == 0)
                server.control.settimeout(_CONNECT_LIMIT_S)
                # The notebook's folder is not there; what is shared lies in the temporary one.
                folder = tempfile.gettempdir()
                server.say(dataclasses.replace(call, ranks=ranks, meeting=meeting, folder=folder))
            return self._follow(used, call.timeout_s + _GRACE_S)
        except KeyboardInterrupt:
            self.close()
            raise
        except OSError:  # a lost connection, or silence beyond every limit
            self.close()
            raise RuntimeError(
                "A host that runs ranks has gone. The next call connects anew; if it happens "
                "again, restart the cluster."
            ) from None

    def _follow(self, servers: Sequence[Server], limit_s: float) -> list[Report]:
        """Hear all servers until each has reported. Raises OSError, also after `limit_s` s."""
        until = time.monotonic() + limit_s
        cancel_at: float | None = None
        reports: list[Report] = []
        with selectors.DefaultSelector() as selector:
            for server in servers:
                server.control.setblocking(True)
                selector.register(server.control, selectors.EVENT_READ, server)
            while selector.get_map():
                now = time.monotonic()
                if now >= until:
                    raise TimeoutError
                if cancel_at is not None and now >= cancel_at:
                    for key in selector.get_map().values():
                        key.data.say(Cancel())
                    cancel_at = float("inf")
                wait_s = until - now if cancel_at is None else min(until, cancel_at) - now
                for key, _ in selector.select(max(0.0, wait_s)):
                    server = key.data
                    for message in server.arrived():
                        if isinstance(message, Output):
                            self._show(message)
                        elif isinstance(message, Done):
                            selector.unregister(server.control)
                            reports += message.reports
                if cancel_at is None:
                    cancel_at = _when_to_cancel(reports)
        return sorted(reports, key=lambda report: report.rank)


def _connect(host: str, port: str) -> socket.socket:
    try:
        return socket.create_connection((host, int(port)), _CONNECT_LIMIT_S)
    except (OSError, ValueError) as error:
        raise RuntimeError(
            f"run_ranks cannot reach {host}:{port}, which SHARDWORK_RANK_HOSTS names: {error}. "
            "Start the cluster, or unset the variable to run ranks on this machine."
        ) from error


def _shares(world_size: int, hosts: int) -> list[tuple[int, ...]]:
    """Return the ranks of each host that has any."""
    found = [tuple(range(number, world_size, hosts)) for number in range(hosts)]
    return [share for share in found if share]


def _when_to_cancel(reports: Sequence[Report]) -> float | None:
    """Return when the ranks that still run shall be ended, or None if no rank has failed.

    One that has only lost a peer gives the host of that peer a moment to say why.
    """
    failed = [r for r in reports if r.state in (RankState.RAISED, RankState.DIED)]
    if not failed:
        return None
    return time.monotonic() + (_SETTLE_S if all(r.lost_peer for r in failed) else 0.0)
