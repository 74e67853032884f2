"""A container engine, asked over its socket (Docker Engine API 1.41, Docker 20.10 and later).

The few requests that a sandbox needs, and no client library: what is created, and how it is shut
in, is the caller's. The engine is trusted.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import urllib.parse
from typing import Any

_DEFAULT = "unix:///var/run/docker.sock"
_LIMIT_S = 60.0
_ATTACH = {"stream": 1, "stdin": 1, "stdout": 1, "stderr": 1}
_VERSION = "1.41"
"""The oldest that has everything; an engine that no longer speaks it says which it speaks."""


class EngineFailed(Exception):
    """The engine could not be reached, or refused; `status` is its answer's, 0 if there is none."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


def address() -> str:
    """Return the path of the engine's socket. Raises EngineFailed if it is none on this machine."""
    given = os.environ.get("DOCKER_HOST") or _DEFAULT
    scheme, _, path = given.partition("://")
    if scheme != "unix":
        raise EngineFailed(f"DOCKER_HOST is {given}, and only unix:///... is used here")
    return path


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=_LIMIT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Engine:
    """The engine behind the socket `path`; each request is a connection of its own."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._version = ""

    def ask(self, method: str, what: str, body: object = None, **query: object) -> Any:
        """Make a request; return what the answer holds. Raises EngineFailed."""
        connection = self._request(method, self._url(what, query), body)
        try:
            return _content(connection.getresponse(), f"{method} {what}")
        except (OSError, http.client.HTTPException) as error:
            raise EngineFailed(f"{method} {what}: {error}") from error
        finally:
            connection.close()

    def create(self, settings: dict[str, object]) -> str:
        """Create a container; return its id."""
        return str(self.ask("POST", "/containers/create", settings)["Id"])

    def start(self, container: str) -> None:
        self.ask("POST", f"/containers/{container}/start")

    def kill(self, container: str) -> None:
        """Kill its first process, if it still runs."""
        self._unless_gone("POST", f"/containers/{container}/kill")

    def remove(self, container: str) -> None:
        """Kill and remove it; nothing happens if it is gone, or going."""
        self._unless_gone("DELETE", f"/containers/{container}", force="true", v="true")

    def exists(self, container: str) -> bool:
        """Whether the engine knows it."""
        return self._unless_gone("GET", f"/containers/{container}/json") is not None

    def usage(self, container: str) -> Any:
        """Return what it takes now, as the engine counts it; None if it has ended."""
        query = {"stream": "false", "one-shot": "true"}
        return self._unless_gone("GET", f"/containers/{container}/stats", **query)

    def ran_out_of_memory(self, container: str, now_s: float) -> bool:
        """Whether the kernel ended something in it for its memory, until `now_s` (since 1970)."""
        chosen = json.dumps({"container": [container], "event": ["oom"]})
        query = {"since": "0", "until": f"{now_s:.3f}", "filters": chosen}
        connection = self._request("GET", self._url("/events", query), None)
        try:
            return b'"oom"' in connection.getresponse().read(1 << 16)
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def image(self, name: str) -> str | None:
        """Return the id of an image, or None if there is none of this name."""
        found = self._unless_gone("GET", f"/images/{name}/json")
        return None if found is None else str(found["Id"])

    def containers(self, label: str) -> list[Any]:
        """List the containers, running or not, that have a label."""
        chosen = json.dumps({"label": [label]})
        return list(self.ask("GET", "/containers/json", all="true", filters=chosen))

    def attach(self, container: str) -> socket.socket:
        """Return a socket to its standard streams; what comes out of them is framed (`Unframed`).

        Its standard input ends when this is closed.
        """
        url = self._url(f"/containers/{container}/attach", _ATTACH)
        connection = self._request("POST", url, None, Upgrade="tcp", Connection="Upgrade")
        try:
            sock = connection.sock
            answer = connection.response_class(sock, method="POST")
            answer.begin()
            if answer.status != http.client.SWITCHING_PROTOCOLS:
                _content(answer, f"attach {container}")
                raise EngineFailed(f"attach {container}: status {answer.status}", answer.status)
            kept = socket.socket(fileno=os.dup(sock.fileno()))
            # Nothing has been read ahead: a container that has not been started says nothing.
            kept.settimeout(None)
            return kept
        except (OSError, http.client.HTTPException) as error:
            raise EngineFailed(f"attach {container}: {error}") from error
        finally:
            connection.close()

    def _unless_gone(self, method: str, what: str, **query: object) -> Any:
        try:
            return self.ask(method, what, **query)
        except EngineFailed as error:
            if error.status in (http.client.NOT_FOUND, http.client.CONFLICT):
                return None
            raise

    def _url(self, what: str, query: dict[str, Any]) -> str:
        if not self._version:
            self._version = self._spoken()
        return f"/v{self._version}{what}?{urllib.parse.urlencode(query)}"

    def _spoken(self) -> str:
        """Return the version to speak: ours, or the engine's oldest if that is newer."""
        connection = self._request("GET", "/version", None)
        try:
            oldest = _content(connection.getresponse(), "GET /version").get("MinAPIVersion", "")
        except (OSError, http.client.HTTPException) as error:
            raise EngineFailed(f"GET /version: {error}") from error
        finally:
            connection.close()
        return str(max(_VERSION, oldest, key=lambda v: [int(n) for n in v.split(".") if n]))

    def _request(
        self, method: str, url: str, body: object, **headers: str
    ) -> http.client.HTTPConnection:
        connection = _Connection(self.path)
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, url, data, {"Content-Type": "application/json", **headers})
        except OSError as error:
            connection.close()
            raise EngineFailed(f"there is no container engine at {self.path}: {error}") from error
        return connection


def _content(answer: http.client.HTTPResponse, what: str) -> Any:
    data = answer.read()
    if answer.status >= http.client.BAD_REQUEST:
        try:
            said = str(json.loads(data)["message"])
        except (ValueError, KeyError, TypeError):
            said = data[:500].decode(errors="replace")
        raise EngineFailed(f"{what}: {said}", answer.status)
    return json.loads(data) if data.strip() else {}


class Unframed:
    """Takes apart what comes out of an attached container: its output, and the end of its log."""

    _HEADER_BYTES = 8
    _OUTPUT = 1
    _LOG_BYTES = 8 << 10

    def __init__(self) -> None:
        self._stream = 0
        self._left = 0
        self._header = b""
        self._log = b""

    def output(self, data: bytes) -> bytes:
        """Return what of `data` was written to standard output."""
        found = []
        while data:
            if self._left == 0:
                needed = self._HEADER_BYTES - len(self._header)
                self._header, data = self._header + data[:needed], data[needed:]
                if len(self._header) < self._HEADER_BYTES:
                    break
                self._stream = self._header[0]
                self._left = int.from_bytes(self._header[4:], "big")
                self._header = b""
                continue
            part, data = data[: self._left], data[self._left :]
            self._left -= len(part)
            if self._stream == self._OUTPUT:
                found.append(part)
            else:
                self._log = (self._log + part)[-self._LOG_BYTES :]
        return b"".join(found)

    @property
    def log(self) -> str:
        return self._log.decode(errors="replace").strip()
