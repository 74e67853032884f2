"""4.2 `ring`: an all-reduce that is made of messages between neighbours.

All messages pass through the judge's network: who sent how many elements to whom, how many
messages had to wait for one another, and where ranks stand still, is what the judge has seen. Most
checks use a network that makes no sender wait, so that a deadlock shows where it is the subject.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from shardwork.grading import GLOO_COMM, Comm, StudentFault, blame, close, once_per_seed
from shardwork.wire import Tensor

CALL = "torch.ring.call"
MESSAGES = {"send", "recv", "isend"}
TOLERANCE = {"float64": 1e-12, "float32": 1e-5, "int64": 0.0}
Tensors = list[np.ndarray]  # by rank


def draw(rng, world: int, n: int) -> Tensors:
    return [rng.normal(size=n) + 1.0 for _ in range(world)]


def is_sum(result: np.ndarray, tensors: Tensors) -> bool:
    right = np.sum(tensors, axis=0)
    if right.dtype == np.int64:
        return bool(np.array_equal(result, right))
    return close(result, right, rel=TOLERANCE[right.dtype.name])


def near(result: np.ndarray, tensors: Tensors) -> np.ndarray:
    """Which elements are the sum."""
    right = np.sum(tensors, axis=0)
    if right.dtype == np.int64:
        return result == right
    return np.abs(result - right) <= 10 * TOLERANCE[right.dtype.name] * np.sum(
        np.abs(tensors), axis=0
    )


def ceiling(n: int, world: int) -> int:
    return -(-n // world)


class Run:
    """One call on all ranks, on a network of the judge."""

    def __init__(self, student, tensors: Tensors, *, rendezvous: bool = False) -> None:
        self.tensors, self.world, self.n = tensors, len(tensors), len(tensors[0])
        self.comm = comm = Comm(rendezvous=rendezvous, allowed=MESSAGES)
        try:
            self.results = student.ranks(
                "ring", [[comm, Tensor(x)] for x in tensors], as_=np.ndarray, driver=CALL
            )
        except StudentFault as fault:
            # A rank that raises takes the others with it; then its own exception says more.
            if comm.mismatch is None or comm.mismatch not in fault.detail:
                raise
            self.stands_still()
        if comm.mismatch is not None:  # the function has caught it
            self.stands_still()

    def stands_still(self) -> None:
        """Say why nobody could go on."""
        found = {"ranks": self.world, "n": self.n}
        assert not self.comm.out_of_step, blame(
            because="On {ranks} ranks, with n = {n}, a rank waited for another one that had "
            "returned already.", **found,
        )  # fmt: skip
        senders = any(
            part.startswith(("in send", "for isend"))
            for part in self.comm.mismatch.split(" waits ")[1:]
        )
        assert not (self.comm.rendezvous and senders), blame("DEADLOCK", **found)
        assert False, blame(
            because="On {ranks} ranks, with n = {n}, all ranks waited for messages that nobody "
            "had sent.", **found,
        )  # fmt: skip

    def check(self) -> Run:
        """Assert that every rank has the sum; name the mistake that explains it."""
        for rank, result in enumerate(self.results):
            self.require_form(rank, result)
        wrong = [r for r, result in enumerate(self.results) if not is_sum(result, self.tensors)]
        found = {"ranks": self.world, "n": self.n}
        assert not wrong, blame(
            self.explain(),
            because="" if self.explain()
            else "On {ranks} ranks, with n = {n}, the result of rank {rank} is not the sum.",
            rank=wrong[0] if wrong else 0, **found,
        )  # fmt: skip
        # Each of the p copies of a number must reach the sum, and the sum all ranks: 2 (p - 1)
        # messages have to carry it. With fewer, the ranks have met outside of comm.
        sent, least = sum(m.elements for m in self.comm.messages()), 2 * (self.world - 1) * self.n
        assert sent >= least, blame(
            because="The sums are right, but fewer elements were sent than they need: the ranks "
            "know of each other by another way.", sent=sent, least=least,
        )  # fmt: skip
        return self

    def require_form(self, rank: int, result: np.ndarray) -> None:
        x = self.tensors[rank]
        tail = self.n % self.world
        lost = tail and self.n > self.world and result.shape == (self.n - tail,)
        assert result.shape == x.shape, blame(
            "CHUNK_TAIL_LOST" if lost else None,
            because="" if lost
            else "On {ranks} ranks, with n = {n}, rank {rank} returned a tensor of another shape "
            "than that of x.", rank=rank, ranks=self.world, n=self.n,
        )  # fmt: skip
        assert result.dtype == x.dtype, blame(
            because="Rank {rank} returned a tensor of another type than that of x.", rank=rank
        )

    def explain(self) -> str | None:
        """The code of the mistake, if the elements that are right show it."""
        right = np.array([near(result, self.tensors) for result in self.results])
        whole = self.n - self.n % self.world
        if 0 < whole < self.n and right[:, :whole].all() and not right[:, whole:].any():
            return "CHUNK_TAIL_LOST"
        sent = [len(self.comm.messages(rank)) for rank in range(self.world)]
        few = right.sum(axis=1).max() <= ceiling(self.n, self.world)
        if few and right.any(axis=0).all() and 0 < max(sent) < self.world:
            return "NO_GATHER"
        return None

    # ---- what travelled --------------------------------------------------------------------

    def elements(self, rank: int) -> int:
        return sum(message.elements for message in self.comm.messages(rank))

    def far(self) -> set[tuple[int | None, int | None]]:
        """Who sent to whom, of those that are no neighbours."""
        pairs = {(m.rank, m.peer) for m in self.comm.messages()}
        near = {1, self.world - 1}
        return {(a, b) for a, b in pairs if (b - a) % self.world not in near}

    def pattern(self) -> str | None:
        """The code for messages between ranks that are no neighbours."""
        pairs = {(m.rank, m.peer) for m in self.comm.messages()}
        if not self.far():
            return None
        parts = Counter(rank for pair in pairs for rank in pair)
        if max(parts.values()) == len(pairs):
            return "ROOT_GATHER"
        return "ALL_TO_ALL" if len(pairs) == self.world * (self.world - 1) else None


@once_per_seed
def even(rng) -> list[Tensors]:
    """Four and two ranks, with a length that they divide."""
    return [draw(rng, world, world * int(rng.integers(20, 60))) for world in (4, 2)]


@once_per_seed
def long(rng) -> list[Tensors]:
    return [draw(rng, world, world * int(rng.integers(40, 80))) for world in (4, 5)]


@once_per_seed
def uneven(rng) -> list[Tensors]:
    """Lengths that the ranks do not divide, and then shorter ones than there are ranks."""
    worlds = (3, 4, 2, 5)
    many = [(w, w * int(rng.integers(3, 20)) + int(rng.integers(1, w))) for w in worlds]
    few = [(4, int(rng.integers(2, 4))), (3, 1), (5, 3)]
    return [draw(rng, world, n) for world, n in many + few]


@once_per_seed
def typed(rng) -> list[Tensors]:
    """Whole numbers that no float64 holds exactly, and float32."""
    n = 3 * int(rng.integers(5, 20))
    whole = [rng.integers(2**58, 2**60, size=n) * 2 + 1 for _ in range(3)]
    return [whole, [x.astype(np.float32) for x in draw(rng, 4, 4 * n)]]


def test_values(student, seed):
    """Every rank returns the sum over all ranks; a single rank returns its own tensor."""
    for tensors in even(seed):
        Run(student, tensors).check()
    alone = Run(student, [even(seed)[0][0]]).check()
    assert not alone.comm.messages(), blame(because="A single rank sent a message.")


def test_uneven(student, seed):
    """The sum is right for every length, also one that is shorter than the number of ranks."""
    for tensors in uneven(seed):
        run = Run(student, tensors).check()
        most = 2 * (run.world - 1) * ceiling(run.n, run.world)
        sent = [run.elements(rank) for rank in range(run.world)]
        # Too much on the long tensors, too, is the business of test_traffic.
        found = {"ranks": run.world, "n": run.n, "sent": max(sent), "most": most}
        assert max(sent) <= most or too_much(Run(student, long(seed)[0])), blame(
            because="On {ranks} ranks, with n = {n}, a rank sent {sent} elements; at most {most} "
            "are allowed.", **found,
        )  # fmt: skip


def test_types(student, seed):
    """The result has the type of x, and sums of whole numbers are exact."""
    for tensors in typed(seed):
        Run(student, tensors).check()


def too_much(run: Run) -> bool:
    most = 2 * (run.world - 1) * ceiling(run.n, run.world)
    return max(run.elements(rank) for rank in range(run.world)) > most


def test_traffic(student, seed):
    """No rank sends more than its share: less than twice its tensor, for any number of ranks."""
    for tensors in long(seed):
        run = Run(student, tensors).check()
        most = 2 * (run.world - 1) * ceiling(run.n, run.world)
        sent = [run.elements(rank) for rank in range(run.world)]
        found = {"ranks": run.world, "sent": max(sent), "n": run.n, "most": most}
        # A whole tensor goes round the ring; along a chain and back it is 2n, however many ranks.
        whole = not run.far() and max(sent) >= (run.world - 1) * run.n
        code = run.pattern() or ("WHOLE_BUFFER" if whole else None)
        assert max(sent) <= most, blame(
            code,
            because="" if code
            else "On {ranks} ranks, with n = {n}, a rank sent {sent} elements; at most {most} are "
            "allowed.", **found,
        )  # fmt: skip


def test_neighbours(student, seed):
    """Every rank sends to its neighbours in the ring only."""
    for tensors in long(seed):
        run = Run(student, tensors).check()
        far, code = run.far(), run.pattern()
        assert run.comm.messages(), blame(because="No message was sent.")
        assert not far, blame(
            code,
            because="" if code
            else "On {ranks} ranks, some rank sent to another one that is not its neighbour.",
            ranks=run.world, pairs=len(far),
        )  # fmt: skip


def test_rounds(student, seed):
    """No message waits for more than the 2(p - 1) - 1 that a ring needs before it."""
    for tensors in long(seed):
        run = Run(student, tensors).check()
        messages = run.comm.messages()
        assert messages, blame(because="No message was sent.")
        last = max(m.round or 0 for m in messages)
        most, each = 2 * (run.world - 1), max(len(run.comm.messages(r)) for r in range(run.world))
        turns = each <= most
        assert last <= most, blame(
            "TAKES_TURNS" if turns else None,
            because="" if turns
            else "On {ranks} ranks, a rank sent {messages} messages; there are only {most} rounds.",
            ranks=run.world, messages=each, rounds=last, most=most,
        )  # fmt: skip


def require_no_waiting_in_vain(student, tensors: Tensors) -> None:
    """Assert that the ranks get through where every sender waits, and leave nothing behind."""
    run = Run(student, tensors).check()
    assert not run.comm.unreceived, blame(
        because="Some messages were sent and never received.", left=run.comm.unreceived
    )
    run = Run(student, tensors, rendezvous=True).check()
    for rank in range(run.world):
        begun, waited = len(run.comm.calls("isend", rank)), len(run.comm.calls("wait", rank))
        assert waited >= begun, blame("NEVER_WAITS", begun=begun, waited=waited)


def test_rendezvous(student, seed):
    """Nobody waits in vain where a send ends only when its message is taken, and all is taken."""
    for tensors in (*even(seed), long(seed)[1]):
        require_no_waiting_in_vain(student, tensors)


def test_gloo(student, rng):
    """The same function gives the same sum on three real processes with gloo."""
    tensors = draw(rng, 3, 10)
    # What would stand still there, or leave without its messages, is not let loose on processes.
    require_no_waiting_in_vain(student, tensors)
    results = student.ranks(
        "ring", [[GLOO_COMM, Tensor(x)] for x in tensors], as_=np.ndarray, on="gloo", driver=CALL
    )
    for rank, result in enumerate(results):
        assert result.shape == (10,) and is_sum(result, tensors), blame(
            because="The result of rank {rank} is not the sum.", rank=rank
        )
