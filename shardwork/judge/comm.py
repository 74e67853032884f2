"""The network between ranks, as an instrument: messages and collectives that the judge carries.

Ranks are threads of the sandbox; what they give each other passes through the judge, which keeps
it in `events`, knows how many messages depended on one another, and says at once when ranks wait
for what can no longer come. Nothing here measures time.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection
from typing import Any, ClassVar, Literal, get_args

import msgspec
import numpy as np

from shardwork.judge.instruments import Instrument, Refusal
from shardwork.wire import Tensor

Operation = Literal["send", "isend", "recv", "all_reduce", "broadcast", "all_gather", "wait"]
Array = np.ndarray[Any, Any]
_Answer = Callable[[Any], None]
_COLLECTIVES = ("all_reduce", "broadcast", "all_gather")
_IN_WORDS = {"all_reduce": "all-reduce", "all_gather": "all-gather"}


class Event(msgspec.Struct, frozen=True, eq=False):
    """One call of a rank. The calls of one rank stand in its own order.

    `array` is what the rank gave (None for `recv` and `wait`). `peer` is the other rank of a
    message, or the source of a broadcast. `number` counts the collectives of this rank from 0; for
    a `wait` it is the number of the collective waited for, or None if that was an `isend`.
    `round` of a message is one more than the rounds of all messages that this rank had sent or
    received before; a rank that sends and receives at the same time does both in one round.
    """

    rank: int
    op: Operation
    array: Array | None = None
    peer: int | None = None
    number: int | None = None
    round: int | None = None

    @property
    def elements(self) -> int:
        """Numbers that the rank gave."""
        return 0 if self.array is None else int(self.array.size)

    @property
    def bytes(self) -> int:
        """Bytes of what the rank gave."""
        return 0 if self.array is None else int(self.array.nbytes)


class Round(msgspec.Struct, frozen=True, eq=False):
    """One completed all-reduce: what each rank gave (in the order of ranks), and their sum."""

    given: tuple[Array, ...]
    total: Array


class _Message:
    """A tensor on its way from one rank to another."""

    def __init__(self, array: Array, round_: int) -> None:
        self.array = array
        self.round = round_
        self.taken: _Answer | None = None
        """Tells the sender who waits for it."""


class _Work(msgspec.Struct):
    """What an asynchronous call has come to: `wait` asks for it once."""

    number: int | None
    done: bool = False
    value: object = None
    waiting: _Answer | None = None


class _Collective:
    """Call number `number` of all ranks: what they gave so far, and how each is answered."""

    def __init__(self, number: int, op: str, peer: int | None) -> None:
        self.number, self.op, self.peer = number, op, peer
        self.given: dict[int, Array] = {}
        self.works: dict[int, _Work] = {}
        self.done = False


class Comm(Instrument):
    """A network of the judge, given to a student's function as `comm`, on ranks that are threads.

    There it has `rank`, `size`, `send(tensor, dst)`, `recv(src)`, `isend(tensor, dst)`,
    `all_reduce(tensor, async_op=False)`, `broadcast(tensor, src)`, `all_gather(tensor)`.

    `rendezvous`: a `send` returns, and an `isend` is done, only when the message has been taken.
    `allowed`: the operations that may be used; another one is a Refusal.
    `events` may be a list that other instruments append to, so that their entries stand in order
    between those of this one.

    `rounds` holds the completed all-reduces. `mismatch` is a sentence once the ranks can no longer
    go on together: they call different collectives, or wait for each other (`deadlock`), or for a
    rank that has returned (`out_of_step`). The first such event ends all.
    """

    kind: ClassVar[str] = "instrument.comm"
    DTYPES: ClassVar[tuple[str, ...]] = ("<f8", "<f4", "<f2", "<i8")
    MAX_ELEMENTS = 1_000_000
    """Numbers that one rank may give at once."""
    MAX_KEPT = 8_000_000
    """Numbers that all ranks may give in one run: the judge keeps them all."""
    MAX_EVENTS = 100_000

    def __init__(
        self,
        *,
        rendezvous: bool = True,
        allowed: Collection[Operation] = get_args(Operation),
        events: list[Any] | None = None,
    ) -> None:
        self.rendezvous = rendezvous
        self.allowed = frozenset(allowed) | {"wait"}
        self.events: list[Any] = [] if events is None else events
        self.ranks_begin(0)

    def ranks_begin(self, world: int) -> None:
        self._world = world
        self.events.clear()
        self.rounds: list[Round] = []
        self.mismatch: str | None = None
        self.deadlock = False
        self.out_of_step: tuple[int, ...] = ()
        """Ranks that had returned while others still waited for them."""
        self._messages: dict[tuple[int, int], deque[_Message]] = defaultdict(deque)
        self._receiving: dict[tuple[int, int], _Answer] = {}
        self._collectives: list[_Collective] = []
        self._called: dict[int, int] = defaultdict(int)
        self._works: dict[int, dict[int, _Work]] = defaultdict(dict)
        self._clock: dict[int, int] = defaultdict(int)
        self._blocked: dict[int, tuple[str, _Answer]] = {}
        """Where each waiting rank waits, in words, and how to tell it that it waits in vain."""
        self._ended: set[int] = set()
        self._kept = 0

    # ---- what was seen ---------------------------------------------------------------------

    def calls(self, op: Operation, rank: int | None = None) -> list[Event]:
        """Return the calls of one operation, of one rank or of all."""
        return [
            event
            for event in self.events
            if isinstance(event, Event) and event.op == op and rank in (None, event.rank)
        ]

    def messages(self, rank: int | None = None) -> list[Event]:
        """Return what was sent from rank to rank, with either kind of send."""
        return [
            event
            for event in self.events
            if isinstance(event, Event)
            and event.op in ("send", "isend")
            and rank in (None, event.rank)
        ]

    @property
    def unreceived(self) -> int:
        """Messages that nobody has received."""
        return sum(len(queue) for queue in self._messages.values())

    # ---- the calls of student code ---------------------------------------------------------

    def invoked(self, args: list[Any], rank: int | None, answer: _Answer) -> None:
        if rank is None or not 0 <= rank < self._world:
            raise Refusal("it was called outside a rank")
        name, given = (args[0], args[1:]) if args else (None, [])
        if name == "size":
            answer(self._world)
            return
        if rank in self._blocked:
            raise Refusal("it was called twice at once by one rank")
        if self.mismatch is not None:
            raise Refusal(self.mismatch)
        op = next((known for known in get_args(Operation) if known == name), None)
        if op is None or op not in self.allowed:
            raise Refusal(f"comm has no {str(name)[:20]} here")
        if len(self.events) >= self.MAX_EVENTS:
            raise Refusal(f"more than {self.MAX_EVENTS} calls of comm in one run")
        if op in ("send", "isend"):
            self._send(rank, op, *self._tensor_and(given, op), answer)
        elif op == "recv":
            self._receive(rank, self._peer(given, rank), answer)
        elif op == "wait":
            self._wait(rank, given, answer)
        else:
            array, option = self._tensor_and(given, op)
            self._join(rank, op, array, option, answer)
        self._settle()

    def _tensor_and(self, given: list[Any], op: str) -> tuple[Array, Any]:
        array = given[0].array if len(given) == 2 and isinstance(given[0], Tensor) else None
        if array is None or array.dtype.str not in self.DTYPES:
            types = " or ".join(np.dtype(name).name for name in self.DTYPES)
            raise Refusal(f"{self._called_as(op)} takes one {types} tensor")
        if array.size > self.MAX_ELEMENTS:
            raise Refusal(
                f"{self._called_as(op)} takes one tensor of at most {self.MAX_ELEMENTS} numbers"
            )
        self._kept += array.size
        if self._kept > self.MAX_KEPT:
            raise Refusal(f"more than {self.MAX_KEPT} numbers were given away in all")
        return array, given[1]

    def _called_as(self, op: str) -> str:
        """Name the operation as student code calls it."""
        return op

    def _peer(self, given: list[Any], rank: int) -> int:
        peer = given[0] if len(given) == 1 else None
        if type(peer) is not int or not 0 <= peer < self._world or peer == rank:
            raise Refusal(f"rank {rank} of {self._world} named {str(peer)[:20]} as its partner")
        return peer

    def _send(self, rank: int, op: Operation, array: Array, to: Any, answer: _Answer) -> None:
        peer = self._peer([to], rank)
        self._clock[rank] += 1
        message = _Message(array, self._clock[rank])
        self.events.append(Event(rank, op, array, peer, None, message.round))
        if op == "isend":
            work = _Work(None, done=not self.rendezvous)
            message.taken = self._finisher(rank, work)
            answer(self._remember(rank, work))
        elif self.rendezvous:
            self._block(rank, f"in send to rank {peer}", answer)
            message.taken = self._releaser(rank, answer)
        else:
            answer(None)
        self._messages[rank, peer].append(message)
        self._deliver(rank, peer)

    def _receive(self, rank: int, peer: int, answer: _Answer) -> None:
        self.events.append(Event(rank, "recv", None, peer))
        self._block(rank, f"in recv from rank {peer}", answer)
        self._receiving[peer, rank] = answer
        self._deliver(peer, rank)

    def _deliver(self, source: int, to: int) -> None:
        if not self._messages[source, to] or (source, to) not in self._receiving:
            return
        message = self._messages[source, to].popleft()
        answer = self._receiving.pop((source, to))
        self._clock[to] = max(self._clock[to], message.round)
        del self._blocked[to]
        answer(Tensor(message.array))
        if message.taken is not None:
            message.taken(None)

    def _join(self, rank: int, op: Operation, array: Array, option: Any, answer: _Answer) -> None:
        number = self._called[rank]
        source = None
        if op == "broadcast":
            source = option
            if type(source) is not int or not 0 <= source < self._world:
                raise Refusal(f"there is no rank {str(source)[:20]} to broadcast from")
        self._called[rank] += 1
        self.events.append(Event(rank, op, array, source, number))
        if number == len(self._collectives):
            self._collectives.append(_Collective(number, op, source))
        collective = self._collectives[number]
        work = _Work(number)
        collective.given[rank], collective.works[rank] = array, work
        if op == "all_reduce" and option is True:
            answer(self._remember(rank, work))
        else:
            self._block(rank, f"in {_words(op)} number {number + 1}", answer)
            work.waiting = self._releaser(rank, answer)
        if (op, source) != (collective.op, collective.peer):
            first = next(iter(collective.given))
            self._give_up(
                f"collective number {number + 1} is {_words(collective.op)} on rank {first} and "
                f"{_words(op)} on rank {rank}"
                + (", from another source" if op == collective.op else "")
            )
        elif len(collective.given) == self._world:
            self._complete(collective)

    def _complete(self, collective: _Collective) -> None:
        given = tuple(collective.given[rank] for rank in sorted(collective.given))
        forms = {(array.shape, array.dtype) for array in given}
        if len(forms) > 1 and not (
            collective.op == "all_gather" and len({f[1] for f in forms}) == 1
        ):
            kind = "shapes" if len({form[0] for form in forms}) > 1 else "types"
            self._give_up(
                f"{_words(collective.op)} number {collective.number + 1} was called with different "
                f"{kind}: "
                + ", ".join(
                    f"rank {r} {list(a.shape) if kind == 'shapes' else a.dtype.name}"
                    for r, a in enumerate(given)
                )
            )
            return
        collective.done = True
        value: Any
        if collective.op == "all_reduce":
            with np.errstate(over="ignore", invalid="ignore"):  # as on a real network
                total = np.sum(given, axis=0, dtype=given[0].dtype)
            self.rounds.append(Round(given, total))
            value = Tensor(total)
        elif collective.op == "broadcast":
            value = Tensor(given[collective.peer or 0])
        else:
            value = [Tensor(array) for array in given]
        for work in collective.works.values():
            _finish(work, value)

    def _wait(self, rank: int, given: list[Any], answer: _Answer) -> None:
        handle = given[0] if len(given) == 1 else None
        work = self._works[rank].pop(handle, None) if type(handle) is int else None
        if work is None:
            raise Refusal("wait was called twice for one operation")
        self.events.append(Event(rank, "wait", number=work.number))
        if work.done:
            answer(work.value)
            return
        where = "isend" if work.number is None else f"all-reduce number {work.number + 1}"
        self._block(rank, f"for {where}", answer)
        work.waiting = self._releaser(rank, answer)

    # ---- who waits, and whether in vain ----------------------------------------------------

    def _remember(self, rank: int, work: _Work) -> int:
        handle = len(self.events)  # each event makes one at most
        self._works[rank][handle] = work
        return handle

    def _block(self, rank: int, where: str, answer: _Answer) -> None:
        self._blocked[rank] = (where, answer)

    def _releaser(self, rank: int, answer: _Answer) -> _Answer:
        def release(value: Any) -> None:
            self._blocked.pop(rank, None)
            answer(value)

        return release

    def _finisher(self, rank: int, work: _Work) -> _Answer:
        return lambda value: _finish(work, value)

    def rank_ended(self, rank: int) -> None:
        self._ended.add(rank)
        self._settle()

    def _settle(self) -> None:
        if (
            self.mismatch is not None
            or len(self._blocked | dict.fromkeys(self._ended)) < self._world
        ):
            return
        lacking = next((c for c in self._collectives if not c.done), None)
        missing = self._ended - set(lacking.given) if lacking is not None else set()
        if lacking is not None and missing:
            self.out_of_step = tuple(sorted(missing))
            self._give_up(
                f"rank {min(lacking.given)} waits in {_words(lacking.op)} number "
                f"{lacking.number + 1}, which rank {min(missing)} never called"
            )
        elif self._blocked:
            self.deadlock = True
            self.out_of_step = tuple(sorted(self._ended))
            waiting = [f"rank {r} waits {where}" for r, (where, _) in sorted(self._blocked.items())]
            ended = [f"rank {r} has returned" for r in sorted(self._ended)]
            self._give_up("nobody can go on: " + ", ".join(waiting[:8] + ended[:8]))

    def _give_up(self, mismatch: str) -> None:
        self.mismatch = mismatch
        blocked, self._blocked = self._blocked, {}
        for _, answer in blocked.values():
            answer(Refusal(mismatch))


def _finish(work: _Work, value: object) -> None:
    work.done, work.value = True, value
    if work.waiting is not None:
        work.waiting(value)


def _words(op: str) -> str:
    return _IN_WORDS.get(op, op)


class AllReduce(Comm):
    """A sum over all ranks, given to student code as `allreduce(tensor)`, in place.

    Of a Comm it has this one collective, for float64 only.
    """

    kind: ClassVar[str] = "instrument.allreduce"
    DTYPES: ClassVar[tuple[str, ...]] = ("<f8",)

    def __init__(self) -> None:
        super().__init__(allowed={"all_reduce"})

    def invoked(self, args: list[Any], rank: int | None, answer: _Answer) -> None:
        super().invoked(["all_reduce", *args, False], rank, answer)

    def _called_as(self, op: str) -> str:
        return "allreduce"
