"""Public check of `dp_grads`: one rank, and two ranks with equally long shards.

The ranks are threads of this process. `Meeting.allreduce` adds up what they bring, and says so
when they are out of step instead of waiting for ever.
"""

import threading

import torch
from otter.test_files import test_case

OK_FORMAT = False

name = "dp_grads"
points = None


class OutOfStep(Exception):
    """The ranks do not make the same calls; raised on every rank that is in `allreduce` then."""


class Meeting:
    """Where the ranks meet: an all-reduce between threads that notices who is missing."""

    def __init__(self, world):
        self.world = world
        self.changed = threading.Condition()
        self.waiting = {}
        self.returned = set()
        self.problem = None

    def allreduce(self, rank, tensor):
        if not isinstance(tensor, torch.Tensor) or tensor.dtype != torch.float64:
            found = getattr(tensor, "dtype", type(tensor).__name__)
            raise TypeError(f"allreduce takes a float64 tensor; found: {found}.")
        with self.changed:
            self.waiting[rank] = tensor
            self.advance()
            self.changed.wait_for(lambda: rank not in self.waiting or self.problem)
            if self.problem:
                raise OutOfStep(self.problem)

    def leave(self, rank):
        with self.changed:
            self.returned.add(rank)
            self.advance()

    def advance(self):
        """Add up once all ranks wait; note the first problem, which is the cause of the others."""
        if not self.problem and self.waiting and self.returned:
            self.problem = "rank missing"
        if not self.problem and len(self.waiting) == self.world:
            if len({tensor.shape for tensor in self.waiting.values()}) > 1:
                self.problem = "shapes differ"
            else:
                with torch.no_grad():
                    total = sum(tensor.detach().clone() for tensor in self.waiting.values())
                    for tensor in self.waiting.values():
                        tensor.copy_(total)
                self.waiting.clear()
        self.changed.notify_all()


def mean_squared_error(prediction, target):
    return ((prediction - target) ** 2).mean()


def make_model(seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)
        return torch.nn.Sequential(*layers).double()


def make_shards(world):
    generator = torch.Generator().manual_seed(world)
    X = torch.randn(4 * world, 3, generator=generator, dtype=torch.float64)
    y = torch.randn(4 * world, 2, generator=generator, dtype=torch.float64)
    return list(zip(X.split(4), y.split(4), strict=True))


def run_ranks(function, models, shards):
    """Call the function on one thread per rank; return the lists of gradients, by rank."""
    assert callable(function), "There is no dp_grads yet. Run the cell that defines it first."
    world = len(models)
    meeting = Meeting(world)
    results, errors = [None] * world, {}

    def run(rank):
        X, y = shards[rank]
        try:
            results[rank] = function(
                rank,
                world,
                models[rank],
                mean_squared_error,
                X.clone(),
                y.clone(),
                lambda tensor: meeting.allreduce(rank, tensor),
            )
        except Exception as error:
            errors[rank] = error
        finally:
            meeting.leave(rank)

    threads = [threading.Thread(target=run, args=(rank,), daemon=True) for rank in range(world)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for rank, error in sorted(errors.items()):
        assert not isinstance(error, NotImplementedError), (
            "dp_grads is not written yet: replace the last two lines of its cell."
        )
        if not isinstance(error, OutOfStep):
            kind = type(error).__name__
            raise AssertionError(f"On rank {rank} your function raised {kind}: {error}")
    assert meeting.problem != "rank missing", (
        "One rank has returned while another one still waits in allreduce."
    )
    assert meeting.problem != "shapes differ", (
        "The ranks meet in allreduce with tensors of different shapes."
    )
    for result in results:
        require_list_of_gradients(result, models[0])
    return results


def require_list_of_gradients(result, model):
    shapes = [tuple(parameter.shape) for parameter in model.parameters()]
    found = type(result).__name__
    assert isinstance(result, list), f"dp_grads must return a list of tensors; found: {found}."
    assert len(result) == len(shapes), (
        f"The model has {len(shapes)} parameters; your list has {len(result)} entries."
    )
    for i, (gradient, shape) in enumerate(zip(result, shapes, strict=True)):
        found = type(gradient).__name__
        assert isinstance(gradient, torch.Tensor), f"Entry {i} is no tensor; found: {found}."
        found = tuple(gradient.shape)
        assert found == shape, f"Entry {i} has the shape {found}; its parameter has {shape}."
        found = gradient.dtype
        assert found == torch.float64, f"Entry {i} has the type {found}; it should be float64."


def one_process(seed, shards):
    """The gradient that a single process computes on all rows."""
    model = make_model(seed)
    X, y = (torch.cat(parts) for parts in zip(*shards, strict=True))
    return torch.autograd.grad(mean_squared_error(model(X), y), tuple(model.parameters()))


def distance(found, expected):
    """Norm of the difference, divided by the norm of what was expected."""
    found = torch.cat([tensor.detach().reshape(-1) for tensor in found])
    expected = torch.cat([tensor.detach().reshape(-1) for tensor in expected])
    return ((found - expected).norm() / expected.norm()).item()


@test_case(
    name="one_rank",
    success_message="On one rank the gradient is right.",
    failure_message=(
        "This check calls your function on a single rank. There the gradient is the one that "
        "backward computes, and the weights of the model stay as they are."
    ),
)
def test_one_rank(dp_grads):
    models, shards = [make_model(1)], make_shards(1)
    (gradients,) = run_ranks(dp_grads, models, shards)
    error = distance(gradients, one_process(1, shards))
    assert error < 1e-10, "The gradient on one rank is not right."
    change = distance(models[0].parameters(), make_model(1).parameters())
    assert change < 1e-12, "Your function has changed the weights of the model."


@test_case(
    name="two_ranks_weights",
    success_message="The two ranks stay in step, and both end with the weights of rank 0.",
    failure_message=(
        "This check calls your function on two ranks whose models have different initial weights, "
        "and looks at the weights afterwards. Read again: Replicas start from the same weights."
    ),
)
def test_two_ranks_weights(dp_grads):
    models = [make_model(1), make_model(2)]
    run_ranks(dp_grads, models, make_shards(2))
    changes = [distance(model.parameters(), make_model(1).parameters()) for model in models]
    assert changes[0] < 1e-12, "The weights of rank 0 have changed; they are the ones that count."
    assert changes[1] < 1e-12, "The weights of rank 1 are not those that rank 0 started with."


@test_case(
    name="two_ranks_gradient",
    success_message=(
        "On two ranks with equally long shards the gradient is that of a single process. Not tried "
        "here: uneven shards, more ranks, and a parameter without a gradient on one rank."
    ),
    failure_message=(
        "This check compares the gradient of two ranks, with four rows each, with the gradient "
        "that a single process computes on all eight rows. Read again: The gradient of the whole "
        "batch."
    ),
)
def test_two_ranks_gradient(dp_grads):
    shards = make_shards(2)
    first, second = run_ranks(dp_grads, [make_model(1), make_model(2)], shards)
    assert distance(second, first) < 1e-10, "The two ranks return different gradients."
    error = distance(first, one_process(1, shards))
    assert error < 1e-10, "The ranks agree, but not with a single process on all the rows."
