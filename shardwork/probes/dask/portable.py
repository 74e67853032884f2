"""Functions of the notebook's process that other processes of the sandbox may call.

An instrument is called over the one connection with the judge, which the notebook's process holds.
Dask's workers are other processes, and tasks are pickled; so what a task should call is wrapped as
`Portable`, which travels as an address and calls back.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
import threading
from collections.abc import Callable
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any, NoReturn

_local = threading.local()


class Given:
    """What a grader hands to student code by reference; to `clone` and to Dask it is a constant."""

    def __deepcopy__(self, memo: object) -> Given:
        return self


class Portable(Given):
    """A function of this process. Elsewhere, where it may be unpickled, it calls back."""

    def __init__(self, function: Callable[..., object], name: str) -> None:
        self._function = function
        self._number = _relay.register(self)
        self.__name__ = name

    def __call__(self, *args: object) -> Any:
        return self._function(*args)

    def __reduce__(self) -> tuple[object, ...]:
        return _revive, (_relay.address(), self._number, self.__name__)

    def __dask_tokenize__(self) -> object:
        return (self.__name__, self._number)


class Away(Given):
    """A `Portable` in another process. Raises RuntimeError with the text of what it raised."""

    def __init__(self, address: str, number: int, name: str) -> None:
        self._address, self._number, self.__name__ = address, number, name

    def __call__(self, *args: object) -> Any:
        connection = _connection(self._address)
        connection.send((self._number, args))
        returned, value = connection.recv()
        if not returned:
            raise RuntimeError(value)
        return value

    def __reduce__(self) -> tuple[object, ...]:
        return _revive, (self._address, self._number, self.__name__)

    def __dask_tokenize__(self) -> object:
        return (self.__name__, self._number)


def _revive(address: str, number: int, name: str) -> Portable | Away:
    here = _relay.find(address, number)
    return Away(address, number, name) if here is None else here


def _connection(address: str) -> Connection[Any, Any]:
    """Return this thread's connection with the process at `address`."""
    known: dict[str, Connection[Any, Any]] = _local.__dict__.setdefault("connections", {})
    if address not in known:
        known[address] = Client(address, "AF_UNIX")
    return known[address]


class _Relay:
    """Listens for calls from other processes, from the first time that a function travels."""

    def __init__(self) -> None:
        self._functions: dict[int, Portable] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._address: str | None = None

    def register(self, function: Portable) -> int:
        number = next(self._numbers)
        self._functions[number] = function
        return number

    def find(self, address: str, number: int) -> Portable | None:
        return self._functions[number] if address == self._address else None

    def address(self) -> str:
        with self._lock:
            if self._address is None:
                path = str(Path(tempfile.mkdtemp(prefix="shardwork-relay-")) / "calls")
                listener = Listener(path, "AF_UNIX", backlog=16)
                threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
                self._address = path
        return self._address

    def _accept(self, listener: Listener) -> NoReturn:
        while True:
            connection = listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: Connection[Any, Any]) -> None:
        with contextlib.suppress(EOFError, OSError), connection:
            while True:
                number, args = connection.recv()
                try:
                    answer = (True, self._functions[number](*args))
                except BaseException as error:
                    answer = (False, str(error))
                connection.send(answer)


_relay = _Relay()
