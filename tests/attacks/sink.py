"""A listener on every address of this machine: whatever reaches it has left a sandbox."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading

import psutil


class Sink:
    """Accepts TCP, UDP and an abstract Unix socket, answers nothing, and keeps what arrives.

    `heard` holds (where, bytes) for each connection and datagram.
    """

    def __init__(self, name: str) -> None:
        self.abstract = f"\0{name}"
        self.heard: list[tuple[str, bytes]] = []
        self._selector = selectors.DefaultSelector()
        self._tcp = socket.create_server(("0.0.0.0", 0))
        self.port = self._tcp.getsockname()[1]
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("0.0.0.0", self.port))
        self._unix = socket.socket(socket.AF_UNIX)
        self._unix.bind(self.abstract)
        self._unix.listen()
        self._woken, self._wake = socket.socketpair()
        for sock, what in ((self._tcp, "tcp"), (self._unix, "unix")):
            sock.setblocking(False)
            self._selector.register(sock, selectors.EVENT_READ, f"accept {what}")
        self._udp.setblocking(False)
        self._selector.register(self._udp, selectors.EVENT_READ, "udp")
        self._selector.register(self._woken, selectors.EVENT_READ, "stop")
        self._thread = threading.Thread(target=self._run, name="sink", daemon=True)
        self._thread.start()

    @property
    def hosts(self) -> list[str]:
        """The addresses by which this machine can be reached."""
        found = [
            address.address
            for addresses in psutil.net_if_addrs().values()
            for address in addresses
            if address.family == socket.AF_INET
        ]
        return sorted(set(found) | {"127.0.0.1"})

    def take(self) -> list[tuple[str, bytes]]:
        """Return what has arrived since the last time."""
        heard, self.heard = self.heard, []
        return heard

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data == "stop":
                    return
                with contextlib.suppress(OSError):
                    self._hear(key)

    def _hear(self, key: selectors.SelectorKey) -> None:
        sock = key.fileobj
        assert isinstance(sock, socket.socket)
        if key.data.startswith("accept"):
            connection, _ = sock.accept()
            connection.setblocking(False)
            name = key.data.removeprefix("accept ")
            self.heard.append((name, b""))
            self._selector.register(connection, selectors.EVENT_READ, name)
            return
        data = sock.recv(1 << 16)
        if data:
            self.heard.append((key.data, data))
        elif key.data != "udp":
            self._selector.unregister(sock)
            sock.close()

    def close(self) -> None:
        """Stop listening; may be called twice."""
        with contextlib.suppress(OSError):
            self._wake.send(b"x")
        self._thread.join(5)
        with contextlib.suppress(RuntimeError, AttributeError):
            for key in list(self._selector.get_map().values()):
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.close()
        self._selector.close()
        self._wake.close()
