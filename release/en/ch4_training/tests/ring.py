"""Public check of `ring`: one, two and three ranks, with lengths that fit, and what is sent.

The ranks are threads of this process. The network between them never makes a sender wait, and it
says so when all ranks wait for messages that nobody has sent, instead of waiting with them.
"""

import threading
from collections import defaultdict, deque

import torch
from otter.test_files import test_case

OK_FORMAT = False

name = "ring"
points = None


class Stuck(Exception):
    """All ranks wait for messages that nobody has sent, or have returned."""


class Network:
    """Messages between threads, and how many elements each rank has sent."""

    def __init__(self, size):
        self.size = size
        self.changed = threading.Condition()
        self.messages = defaultdict(deque)
        self.waiting = {}
        self.returned = set()
        self.stuck = False
        self.elements = [0] * size

    def put(self, tensor, source, to):
        assert isinstance(tensor, torch.Tensor), (
            f"Only a tensor can be sent; found: {type(tensor).__name__}."
        )
        assert to in range(self.size) and to != source, (
            f"Rank {source} of {self.size} sends to rank {to}: there is no such partner."
        )
        with self.changed:
            self.elements[source] += tensor.numel()
            self.messages[source, to].append(tensor.detach().clone())
            self.changed.notify_all()

    def take(self, source, to):
        assert source in range(self.size) and source != to, (
            f"Rank {to} of {self.size} receives from rank {source}: there is no such partner."
        )
        queue = self.messages[source, to]
        with self.changed:
            self.waiting[to] = queue
            self.look()
            self.changed.wait_for(lambda: queue or self.stuck)
            del self.waiting[to]
            if not queue:
                raise Stuck
            return queue.popleft()

    def leave(self, rank):
        with self.changed:
            self.returned.add(rank)
            self.look()

    def look(self):
        """Note that nobody can go on, if so."""
        if len(self.waiting) + len(self.returned) == self.size and self.waiting:
            self.stuck = self.stuck or not any(self.waiting.values())
            self.changed.notify_all()


class Comm:
    """What a rank is given."""

    def __init__(self, network, rank):
        self.rank, self.size = rank, network.size
        self.network = network

    def send(self, tensor, dst):
        self.network.put(tensor, self.rank, dst)

    def isend(self, tensor, dst):
        self.send(tensor, dst)
        return Sent()

    def recv(self, src):
        return self.network.take(src, self.rank)


class Sent:
    def wait(self):
        pass


def run_ranks(function, tensors):
    """Call the function on one thread per rank; return the results and the network."""
    assert callable(function), "There is no ring yet. Run the cell that defines it first."
    network = Network(len(tensors))
    results, errors = [None] * len(tensors), {}

    def run(rank):
        try:
            results[rank] = function(Comm(network, rank), tensors[rank].clone())
        except Exception as error:
            errors[rank] = error
        finally:
            network.leave(rank)

    threads = [threading.Thread(target=run, args=(r,), daemon=True) for r in range(len(tensors))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for rank, error in sorted(errors.items()):
        assert not isinstance(error, NotImplementedError), (
            "ring is not written yet: replace the last two lines of its cell."
        )
        if isinstance(error, AssertionError):
            raise error
        if not isinstance(error, Stuck):
            kind = type(error).__name__
            raise AssertionError(f"On rank {rank} your function raised {kind}: {error}")
    assert not network.stuck, (
        f"On {network.size} ranks, somebody waits in recv for a message that is never sent."
    )
    for rank, result in enumerate(results):
        require_form(rank, result, tensors[rank])
    return results, network


def require_form(rank, result, x):
    found = type(result).__name__
    assert isinstance(result, torch.Tensor), f"Rank {rank} returned no tensor; found: {found}."
    assert result.shape == x.shape, (
        f"Rank {rank} returned the shape {tuple(result.shape)}; x has {tuple(x.shape)}."
    )
    assert result.dtype == x.dtype, f"Rank {rank} returned {result.dtype}; x is {x.dtype}."


def make_tensors(world, n):
    generator = torch.Generator().manual_seed(world)
    return [torch.randn(n, generator=generator, dtype=torch.float64) for _ in range(world)]


def require_sums(results, tensors):
    for rank, result in enumerate(results):
        right = torch.isclose(result, sum(tensors), rtol=1e-12, atol=1e-12)
        assert right.all(), (
            f"On rank {rank} of {len(tensors)}, {int(right.sum())} of {len(right)} elements are "
            "the sum over all ranks."
        )


@test_case(
    name="one_rank",
    success_message="On one rank the sum is x itself.",
    failure_message="This check calls your function on a single rank, which has nobody to talk to.",
)
def test_one_rank(ring):
    tensors = make_tensors(1, 5)
    results, _ = run_ranks(ring, tensors)
    require_sums(results, tensors)


@test_case(
    name="two_ranks",
    success_message="Two ranks with six elements each both get the sum.",
    failure_message=(
        "This check calls your function on two ranks with six elements each. Read again: "
        "A ring of neighbours."
    ),
)
def test_two_ranks(ring):
    tensors = make_tensors(2, 6)
    results, _ = run_ranks(ring, tensors)
    require_sums(results, tensors)


@test_case(
    name="three_ranks",
    success_message=(
        "Three ranks with nine elements each get the sum, and none sends more than it may. Not "
        "tried here: other lengths, other types, more ranks, rounds, and a network that makes "
        "senders wait."
    ),
    failure_message=(
        "This check calls your function on three ranks with nine elements each, and counts the "
        "elements that each rank sends. Read again: Pieces instead of the whole."
    ),
)
def test_three_ranks(ring):
    tensors = make_tensors(3, 9)
    results, network = run_ranks(ring, tensors)
    require_sums(results, tensors)
    assert max(network.elements) <= 12, (
        f"The busiest rank sends {max(network.elements)} elements; the task allows "
        "2 (p - 1) ceil(n / p) = 12."
    )
