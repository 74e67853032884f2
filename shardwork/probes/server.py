"""Serve the judge: call the student's functions, ask the probes, carry instrument calls back.

Runs in the notebook's own process, in its main thread, after the last cell: a function is called
where the student wrote it, with the notebook's globals. One reader thread sorts what the judge
sends, so that instruments may be called from any thread (Dask's workers, ranks).
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import itertools
import os
import queue
import re
import socket
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, Literal

from shardwork.wire import (
    Answer,
    Ask,
    Call,
    CallRanks,
    Connection,
    Deadline,
    FromJudge,
    FromSandbox,
    Invoke,
    Opaque,
    PeerGone,
    Raised,
    RankEnded,
    Ready,
    Ref,
    Returned,
    Tensor,
    WireError,
    from_wire,
    to_wire,
)
from shardwork.wire.messages import (
    JUDGE_FD_VARIABLE,
    MAX_ERROR_TEXT,
    MAX_LINE,
    MAX_NAME,
    MAX_TYPES,
    PROTOCOL,
)

_FOREVER = Deadline(None)
_RANK_NOTE = re.compile(r"rank (\d{1,3})")

# Framework types whose objects stay here, by the name of a class in their method resolution order:
# looking a type up must not import its framework.
KINDS = {
    "pyspark.core.context.SparkContext": "spark.context",
    "pyspark.core.rdd.RDD": "spark.rdd",
    "pyspark.sql.session.SparkSession": "spark.session",
    "pyspark.sql.dataframe.DataFrame": "spark.frame",
    "pyspark.storagelevel.StorageLevel": "spark.level",
    "pyspark.ml.base.Model": "spark.model",
    "dask.delayed.Delayed": "dask.delayed",
    "dask.array.core.Array": "dask.array",
    "dask.bag.core.Bag": "dask.bag",
    "dask.dataframe.dask_expr._collection.FrameBase": "dask.frame",
    "distributed.client.Client": "dask.client",
    "shardwork.probes.dask.portable.Given": "dask.given",
    "sklearn.base.BaseEstimator": "dask.estimator",
    "torch.nn.modules.module.Module": "torch.module",
}

Question = Callable[..., object]
Place = Literal["missing", "unanswered", "answer", "probe", "unsendable"]
_QUESTIONS: dict[str, Question] = {}


def question(name: str) -> Callable[[Question], Question]:
    """Register the function that answers the judge's question `name` (`"spark.collect"`)."""

    def register(function: Question) -> Question:
        _QUESTIONS[name] = function
        return function

    return register


def find_question(name: str) -> Question:
    """Return the function for `name`, importing the probe module that the words before name."""
    if name not in _QUESTIONS:
        module = name.rpartition(".")[0]
        if module.partition(".")[0] not in ("spark", "dask", "torch"):
            raise LookupError(f"no probe module for {name!r}")
        importlib.import_module(f"shardwork.probes.{module}")
    return _QUESTIONS[name]


def serve(namespace: dict[str, Any]) -> None:
    """Serve until the judge hangs up. `namespace` holds the notebook's globals."""
    sock = socket.socket(fileno=int(os.environ[JUDGE_FD_VARIABLE]))
    sock.set_inheritable(False)
    Server(sock, namespace).run()


class Missing(Exception):
    """The notebook defines nothing callable of the name that was asked for."""


class Server:
    """One connection to the judge, and the objects that stay on this side."""

    def __init__(self, sock: socket.socket, namespace: dict[str, Any]) -> None:
        self._connection: Connection[FromSandbox, FromJudge] = Connection(sock, FromJudge)
        self._namespace = namespace
        self._objects: dict[int, object] = {}
        self._object_numbers = itertools.count(1)
        self._questions: queue.SimpleQueue[Call | CallRanks | Ask | None] = queue.SimpleQueue()
        self._waiting: dict[int, Future[Answer]] = {}
        self._invocations = itertools.count(1)

    def __reduce__(self) -> tuple[type[Elsewhere], tuple[()]]:
        # Dask pickles functions in order to name them, and the probes in order to measure them.
        return Elsewhere, ()

    def run(self) -> None:
        """Answer questions, one at a time, until the judge hangs up."""
        threading.Thread(target=self._read, name="shardwork-reader", daemon=True).start()
        self._send(Ready(PROTOCOL))
        while (asked := self._questions.get()) is not None:
            with contextlib.suppress(PeerGone):
                self._reply(asked)

    def _read(self) -> None:
        with contextlib.suppress(PeerGone, WireError):
            while True:
                message = self._connection.receive(_FOREVER)
                if isinstance(message, Answer):
                    waiting = self._waiting.pop(message.number, None)
                    if waiting is not None:
                        waiting.set_result(message)
                else:
                    self._questions.put(message)
        for waiting in self._waiting.values():
            waiting.cancel()
        self._questions.put(None)

    def _send(self, message: FromSandbox) -> None:
        self._connection.send(message, _FOREVER)

    def _reply(self, asked: Call | CallRanks | Ask) -> None:
        place: Place = "probe" if isinstance(asked, Ask) else "answer"
        try:
            if isinstance(asked, Call):
                value = self._call(asked)
            elif isinstance(asked, CallRanks):
                value = self._call_ranks(asked)
            else:
                args = [self._decode(arg) for arg in asked.args]
                value = (self._ours(asked.question) or find_question(asked.question))(*args)
            self._send(Returned(asked.number, self._encode(value)))
        except Missing as error:
            self._send(Raised(asked.number, "missing", ["NameError"], _bounded(str(error))))
        except WireError as error:
            # No exception of the student's: it must not pass for one that was asked for.
            self._send(Raised(asked.number, "unsendable", [], _bounded(str(error))))
        except BaseException as error:  # SystemExit and KeyboardInterrupt of student code, too
            self._send(self._describe(asked.number, error, place))

    def _ours(self, name: str) -> Question | None:
        """Return the function for a question about the notebook itself."""
        ours: dict[str, Question] = {
            "notebook.define": self._define,
            "notebook.find": self._find,
            "notebook.apply": _apply,
        }
        return ours.get(name)

    def _define(self, source: str) -> None:
        """Run another solution cell in the notebook's namespace (`shardwork verify`)."""
        exec(compile(source, "<ipython-input-solution>", "exec"), self._namespace)

    def _find(self, name: str) -> Ref:
        """Keep a function or class of the notebook as an object of its own."""
        return self._keep("function", self._target(name))

    def _target(self, name: str) -> Callable[..., object]:
        target: Callable[..., object] | None = self._namespace.get(name)
        if not callable(target):
            raise Missing(name)
        return target

    def _call(self, asked: Call) -> object:
        target = self._target(asked.target)
        args = [self._decode(arg) for arg in asked.args]
        kwargs = {name: self._decode(value) for name, value in asked.kwargs.items()}
        return target(*args, **kwargs)

    def _call_ranks(self, asked: CallRanks) -> object:
        target = self._target(asked.target)
        if asked.driver:
            target = functools.partial(_drive, find_question(asked.driver), target)
        per_rank = [
            [self._decode(arg, rank) for arg in args] for rank, args in enumerate(asked.args)
        ]
        if asked.on == "gloo":
            from shardwork import lab

            return lab.run_ranks(_call_with, len(per_rank), target, per_rank)
        return self._on_threads(target, per_rank)

    def _on_threads(self, target: Callable[..., object], per_rank: list[list[object]]) -> object:
        results: list[object] = [None] * len(per_rank)
        failures: list[tuple[int, BaseException]] = []

        def run(rank: int) -> None:
            try:
                results[rank] = target(rank, len(per_rank), *per_rank[rank])
            except BaseException as error:
                failures.append((rank, error))
            finally:
                with contextlib.suppress(PeerGone):
                    self._send(RankEnded(rank))

        threads = [
            threading.Thread(target=run, args=(r,), daemon=True) for r in range(len(per_rank))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            rank, error = failures[0]  # the earliest: the others may only have lost their partner
            error.add_note(f"rank {rank}")
            raise error
        return results

    def _encode(self, value: object) -> Any:
        return to_wire(value, other=self._stay)

    def _stay(self, value: object) -> object:
        """Make plain data of a subclass plain; keep a framework's object here, by reference."""
        bases: tuple[Any, ...] = (tuple, list, dict, str, bytes, float, int, complex)
        for base in bases:
            if isinstance(value, base):
                return base(value)
        names = [f"{c.__module__}.{c.__qualname__}" for c in type(value).__mro__]
        if "torch.Tensor" in names:
            tensor: Any = value
            return Tensor(tensor.detach().cpu().numpy().copy())
        kind = next((KINDS[name] for name in names if name in KINDS), None)
        if kind is None and callable(value) and not isinstance(value, type):
            kind = "function"
        if kind is None:
            return Opaque(names[0])
        return self._keep(kind, value)

    def _keep(self, kind: str, value: object) -> Ref:
        number = next(self._object_numbers)
        self._objects[number] = value
        return Ref(kind, number)

    def _decode(self, tree: object, rank: int | None = None) -> Any:
        """Rebuild an argument; its instruments speak for `rank`, from whatever thread."""
        return from_wire(tree, ref=lambda ref: self._resolve(ref, rank), tensor=_to_torch)

    def _resolve(self, ref: Ref, rank: int | None) -> object:
        if ref.kind == "lab.allreduce":
            return _gloo_allreduce
        if ref.kind == "lab.comm":
            from shardwork.lab.comm import GlooComm

            return GlooComm()
        if ref.kind.startswith("instrument."):
            return self._instrument(ref, rank)
        return self._objects[ref.id]

    def _instrument(self, ref: Ref, rank: int | None) -> object:
        def instrument(*args: object) -> object:
            return self._invoke(ref.id, args, rank)

        if ref.kind == "instrument.allreduce":
            return _in_place(instrument)
        if ref.kind == "instrument.comm":
            from shardwork.probes.torch.comm import JudgeComm

            return JudgeComm(instrument, rank)
        return instrument

    def _invoke(self, instrument: int, args: tuple[object, ...], rank: int | None) -> object:
        number = next(self._invocations)
        waiting: Future[Answer] = Future()
        self._waiting[number] = waiting
        self._send(Invoke(number, instrument, [self._encode(arg) for arg in args], rank))
        answer = waiting.result()
        if answer.refusal is not None:
            raise RuntimeError(answer.refusal)
        return self._decode(answer.value)

    def _describe(self, number: int, error: BaseException, place: Place) -> Raised:
        root = _root(error)
        if root is not None:
            where: Place = "unanswered" if "NotImplementedError" in root.types else place
            return Raised(
                number, where, _names(root.types), _bounded(root.error), rank=int(root.rank)
            )
        cell_frames = [f for f in _frames(error) if _is_cell(f.filename)]
        line = cell_frames[-1].lineno if cell_frames else None
        notes = [_RANK_NOTE.fullmatch(str(n)) for n in getattr(error, "__notes__", ())]
        starter = isinstance(error, NotImplementedError) and bool(cell_frames)
        return Raised(
            number,
            "unanswered" if starter else place,
            _names(c.__name__ for c in type(error).__mro__),
            _text(error),
            line if line is not None and 1 <= line <= MAX_LINE else None,
            next((int(note[1]) for note in notes if note), None),
        )


def _apply(function: Callable[..., object], *args: object) -> object:
    """Call a function that the student's function has returned."""
    return function(*args)


class Elsewhere:
    """Stands for the server in another process, to which an instrument was sent."""

    def _invoke(self, *_: object) -> object:
        raise RuntimeError("this function can be called in the notebook's own process only")


def _root(error: BaseException) -> Any:
    """Return what a `lab.RankError` says of the rank that failed first; None for any other."""
    ours = (type(error).__module__, type(error).__name__) == ("shardwork.lab.ranks", "RankError")
    return getattr(error, "root", None) if ours else None


def _drive(
    driver: Question, target: Callable[..., object], rank: int, world: int, *args: object
) -> object:
    """Let a probe use the student's function in a rank."""
    return driver(rank, world, target, *args)


def _call_with(
    rank: int, world: int, target: Callable[..., object], per_rank: list[list[object]]
) -> object:
    """Run in a gloo rank: take this rank's arguments and call the student's function."""
    return target(rank, world, *per_rank[rank])


def _gloo_allreduce(tensor: Any) -> None:
    """Sum `tensor` over all gloo ranks, in place."""
    import torch.distributed as dist

    _require_float64(tensor)
    dist.all_reduce(tensor.data)


def _in_place(call: Callable[..., object]) -> Callable[..., object]:
    """Give an instrument that maps an array to an array the shape of an in-place collective."""

    def allreduce(tensor: Any) -> None:
        _require_float64(tensor)
        total: Any = call(tensor)
        tensor.data.copy_(total.reshape(tensor.shape))

    return allreduce


def _require_float64(tensor: object) -> None:
    import torch

    if not isinstance(tensor, torch.Tensor) or tensor.dtype != torch.float64:
        raise TypeError("allreduce takes one float64 tensor")


def _to_torch(tensor: Tensor) -> object:
    import torch

    return torch.from_numpy(tensor.array)


def _frames(error: BaseException) -> Iterator[traceback.FrameSummary]:
    return iter(traceback.extract_tb(error.__traceback__))


def _is_cell(filename: str) -> bool:
    return "ipykernel_" in filename or filename.startswith("<ipython-input")


def _text(error: BaseException) -> str:
    try:
        return _bounded(str(error))
    except BaseException:  # its `__str__` is the student's
        return "(an exception that cannot be printed)"


def _names(types: Iterable[str]) -> list[str]:
    return [name[:MAX_NAME] for name in itertools.islice(types, MAX_TYPES)]


def _bounded(text: str) -> str:
    """Cut a text to what a message holds; halves of surrogate pairs, which cannot travel, go."""
    return text[:MAX_ERROR_TEXT].encode("utf-8", "replace").decode()
