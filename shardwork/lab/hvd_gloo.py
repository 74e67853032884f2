"""The part of Horovod's PyTorch interface that the course uses, over `torch.distributed`.

Follows horovod.torch 0.28.1: names, parameters, defaults and errors. What a course on one machine
does not need is left out: process sets, groups, sparse gradients, Adasum, elastic training, join.
One difference: Horovod matches the calls of the ranks by name, this module by their order, so names
are accepted and not looked at. Where Horovod waits for a call that does not come, this module
raises HorovodInternalError as soon as another call comes in its place.
"""

from __future__ import annotations

import contextlib
import enum
import warnings
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist


class HorovodInternalError(RuntimeError):
    """The ranks do not make the same calls."""


class ReduceOp(enum.Enum):
    """How the tensors of the ranks are combined."""

    Average = "average"
    Sum = "sum"
    Min = "min"
    Max = "max"
    Product = "product"


Average, Sum, Min, Max, Product = ReduceOp

_DIST_OPS = {
    ReduceOp.Average: dist.ReduceOp.SUM,
    ReduceOp.Sum: dist.ReduceOp.SUM,
    ReduceOp.Min: dist.ReduceOp.MIN,
    ReduceOp.Max: dist.ReduceOp.MAX,
    ReduceOp.Product: dist.ReduceOp.PRODUCT,
}


class NoneCompressor:
    """Sends a tensor as it is."""

    @staticmethod
    def compress(tensor: torch.Tensor) -> tuple[torch.Tensor, Any]:
        return tensor, None

    @staticmethod
    def decompress(tensor: torch.Tensor, ctx: Any) -> torch.Tensor:
        return tensor


class FP16Compressor:
    """Sends floating point numbers as float16."""

    @staticmethod
    def compress(tensor: torch.Tensor) -> tuple[torch.Tensor, Any]:
        half = tensor.half() if tensor.dtype.is_floating_point else tensor
        return half, tensor.dtype

    @staticmethod
    def decompress(tensor: torch.Tensor, ctx: Any) -> torch.Tensor:
        return tensor.to(ctx)


class Compression:
    """What `compression=` may be."""

    none = NoneCompressor
    fp16 = FP16Compressor


# ---- who is there ---------------------------------------------------------------------------

_joined = False


def init() -> None:
    """Join the other ranks. Calling it again does nothing."""
    global _joined  # noqa: PLW0603 - Horovod's interface is one state per process
    _joined = True


def shutdown() -> None:
    """Leave the other ranks."""
    global _joined  # noqa: PLW0603
    _joined = False


def is_initialized() -> bool:
    return _joined


def size() -> int:
    """Return the number of ranks. Raises ValueError before `init`."""
    _require_init()
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return this rank. Raises ValueError before `init`."""
    _require_init()
    return dist.get_rank() if dist.is_initialized() else 0


def local_rank() -> int:
    """Return this rank among those of this machine: all ranks are on it."""
    return rank()


def local_size() -> int:
    return size()


def cross_rank() -> int:
    """Return the number of this machine."""
    _require_init()
    return 0


def cross_size() -> int:
    """Return the number of machines."""
    _require_init()
    return 1


def is_homogeneous() -> bool:
    """Say whether all machines have the same number of ranks."""
    _require_init()
    return True


def _require_init() -> None:
    if not _joined:
        raise ValueError("Horovod has not been initialized; use hvd.init().")


# ---- collectives on tensors -----------------------------------------------------------------


class _AllReduce(torch.autograd.Function):  # type: ignore[misc]
    """An all-reduce through which gradients flow: its backward is an all-reduce, too."""

    @staticmethod
    def forward(ctx: Any, tensor: torch.Tensor, op: ReduceOp, pre: float, post: float) -> Any:
        ctx.how = op, pre, post
        return _reduce(tensor.detach().clone(), op, pre, post)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        return _AllReduce.apply(grads[0], *ctx.how), None, None, None


def allreduce(
    tensor: torch.Tensor,
    average: bool | None = None,
    name: str | None = None,
    compression: Any = Compression.none,
    op: ReduceOp | None = None,
    prescale_factor: float = 1.0,
    postscale_factor: float = 1.0,
) -> torch.Tensor:
    """Return the average of a tensor over all ranks, or what else `op` says.

    The tensor has the same type and shape on all ranks, and is not changed.
    """
    small, ctx = compression.compress(tensor)
    total = _AllReduce.apply(small, _op(average, op), prescale_factor, postscale_factor)
    result: torch.Tensor = compression.decompress(total, ctx)
    return result


def allreduce_(
    tensor: torch.Tensor,
    average: bool | None = None,
    name: str | None = None,
    op: ReduceOp | None = None,
    prescale_factor: float = 1.0,
    postscale_factor: float = 1.0,
) -> torch.Tensor:
    """Do as `allreduce` does, in place; return the tensor."""
    _reduce(tensor.detach(), _op(average, op), prescale_factor, postscale_factor)
    return tensor


def allgather(tensor: torch.Tensor, name: str | None = None) -> torch.Tensor:
    """Return the tensors of all ranks, one behind the other along the first dimension.

    The ranks' tensors may differ in that dimension alone.
    """
    return torch.cat(allgather_object(tensor.detach().clone()))


def broadcast(tensor: torch.Tensor, root_rank: int, name: str | None = None) -> torch.Tensor:
    """Return the tensor of rank `root_rank`. The given one is not changed."""
    return broadcast_(tensor.detach().clone(), root_rank)


def broadcast_(tensor: torch.Tensor, root_rank: int, name: str | None = None) -> torch.Tensor:
    """Fill a tensor with that of rank `root_rank`; return it."""
    if not 0 <= root_rank < size():
        raise ValueError(f"root_rank is {root_rank}; there are {size()} ranks.")
    if size() > 1:
        value = tensor.detach().contiguous()
        _require_same_call("broadcast", value)
        dist.broadcast(value, root_rank)
        tensor.data.copy_(value)
    return tensor


def broadcast_object(obj: Any, root_rank: int = 0, name: str | None = None) -> Any:
    """Return the object of rank `root_rank`, which is pickled."""
    if size() == 1:
        return obj
    _require_same_call("broadcast_object")
    holder = [obj if rank() == root_rank else None]
    dist.broadcast_object_list(holder, root_rank)
    return obj if rank() == root_rank else holder[0]


def allgather_object(obj: Any, name: str | None = None) -> list[Any]:
    """Return the objects of all ranks, which are pickled, by rank."""
    if size() == 1:
        return [obj]
    _require_same_call("allgather")
    gathered = [None] * size()
    dist.all_gather_object(gathered, obj)
    return gathered


def barrier() -> None:
    """Wait until all ranks are here."""
    if size() > 1:
        _require_same_call("barrier")


_CALLS = ("allreduce", "broadcast", "broadcast_object", "allgather", "barrier")
_MOST_DIMENSIONS = 8


def _require_same_call(name: str, tensor: torch.Tensor | None = None) -> None:
    """Compare what all ranks are about to do; raises HorovodInternalError on all of them."""
    shape = [] if tensor is None else [tensor.dim(), *tensor.shape]
    told = torch.tensor([_CALLS.index(name), *shape] + [0] * (_MOST_DIMENSIONS + 1 - len(shape)))
    heard = [torch.empty_like(told) for _ in range(size())]
    dist.all_gather(heard, told)
    if all(torch.equal(one, told) for one in heard):
        return
    did = []
    for number, one in enumerate(heard):
        call, dimensions, *sizes = one.tolist()
        did.append(f"rank {number} called {_CALLS[call]} (shape {sizes[:dimensions]})")
    raise HorovodInternalError(f"Mismatched calls: {', '.join(did)}.")


def _op(average: bool | None, op: ReduceOp | None) -> ReduceOp:
    if average is None:
        return ReduceOp.Average if op is None else op
    if op is not None:
        raise ValueError("The op parameter supersedes average. Please provide only one of them.")
    warnings.warn("Parameter `average` has been replaced with `op`.", DeprecationWarning, 3)
    return ReduceOp.Average if average else ReduceOp.Sum


def _reduce(tensor: torch.Tensor, op: ReduceOp, pre: float, post: float) -> torch.Tensor:
    """Reduce a detached tensor in place."""
    if op is ReduceOp.Average:
        post = post / size()
    if pre != 1.0:
        tensor.copy_(tensor * pre)
    if size() > 1:
        value = tensor.contiguous()
        _require_same_call("allreduce", value)
        dist.all_reduce(value, _DIST_OPS[op])
        tensor.copy_(value)
    if post != 1.0:
        tensor.copy_(tensor * post)
    return tensor


# ---- training -------------------------------------------------------------------------------


def broadcast_parameters(params: Any, root_rank: int) -> None:
    """Give all ranks the tensors of rank `root_rank`, in place.

    params: a dict (`model.state_dict()`), or a list of tensors or of pairs (name, tensor). Anything
    else, an iterator such as `model.parameters()` for one, is a ValueError.
    """
    if isinstance(params, dict):
        tensors = [tensor for _, tensor in sorted(params.items())]
    elif isinstance(params, list):
        tensors = [entry[1] if isinstance(entry, tuple) else entry for entry in params]
    else:
        raise ValueError(f"invalid params of type: {type(params)}")
    for tensor in tensors:
        broadcast_(tensor, root_rank)


def broadcast_optimizer_state(optimizer: Any, root_rank: int, model: Any = None) -> None:
    """Give all ranks the state and the options (learning rate and so on) of rank `root_rank`.

    A rank whose optimiser has no state yet first makes a step with gradients of zero, so that there
    is something to fill. With weight decay such a step changes the parameters: broadcast those
    afterwards.
    """
    if isinstance(optimizer, torch.optim.LBFGS):
        raise ValueError("cannot broadcast torch.optim.LBFGS state")
    if not optimizer.state_dict()["state"]:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.requires_grad:
                    parameter.grad = torch.zeros_like(parameter)
        with _without_reducing(optimizer):
            optimizer.step()
    if not optimizer.state_dict()["state"]:
        return
    options = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    for group, found in zip(
        optimizer.param_groups, broadcast_object(options, root_rank), strict=True
    ):
        group.update(found)
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state = optimizer.state.get(parameter, {})
            for key, value in state.items():
                if torch.is_tensor(value):
                    broadcast_(value, root_rank)
                else:
                    state[key] = broadcast_object(value, root_rank)


@contextlib.contextmanager
def _without_reducing(optimizer: Any) -> Iterator[None]:
    if isinstance(optimizer, _Distributed):
        with optimizer.skip_synchronize():
            yield
    else:
        yield


class _Distributed:
    """What `DistributedOptimizer` puts before the class of the optimiser that it is given."""

    def _prepare(self, passes: int, op: ReduceOp, compression: Any, predivide: float) -> None:
        self._how = op, 1.0 / predivide, predivide
        self._compression = compression
        self.backward_passes_per_step = passes
        self._passes: dict[torch.Tensor, int] = {}
        self._synchronized, self._should_synchronize = False, True
        self._reduced: list[torch.Tensor] = []
        if size() > 1:
            self._reduced = [p for g in self.param_groups for p in g["params"] if p.requires_grad]
        for parameter in self._reduced:
            parameter.register_post_accumulate_grad_hook(self._counted)

    param_groups: list[dict[str, Any]]

    def _counted(self, parameter: torch.Tensor) -> None:
        passes = self._passes.get(parameter, 0)
        if passes == self.backward_passes_per_step:
            raise AssertionError(
                "Gradients were computed more than backward_passes_per_step times before call to "
                "step(). Increase backward_passes_per_step to accumulate gradients locally."
            )
        self._passes[parameter] = passes + 1

    def set_backward_passes_per_step(self, passes: int) -> None:
        """Say how many backward passes come before a step."""
        self.backward_passes_per_step = passes
        self._passes.clear()

    def synchronize(self) -> None:
        """Reduce the gradients of all parameters; one that has none counts as zero."""
        op, pre, post = self._how
        for parameter in self._reduced:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            small, ctx = self._compression.compress(parameter.grad.detach())
            total = _reduce(small, op, pre, post)
            parameter.grad.copy_(self._compression.decompress(total, ctx))
        self._passes.clear()
        self._synchronized = True

    @contextlib.contextmanager
    def skip_synchronize(self) -> Iterator[None]:
        """Let `step` leave the gradients as they are, inside the block."""
        self._should_synchronize = False
        try:
            yield
        finally:
            self._should_synchronize = True

    def step(self, closure: Any = None) -> Any:
        """Reduce the gradients, unless that is skipped, and make a step."""
        if self._should_synchronize:
            if self._synchronized:
                warnings.warn(
                    "optimizer.step() called without optimizer.skip_synchronize() context after "
                    "optimizer.synchronize().", stacklevel=2,
                )  # fmt: skip
            self.synchronize()
        self._synchronized = False
        return super().step(closure)  # type: ignore[misc]

    def zero_grad(self) -> None:
        """Forget the gradients. Raises AssertionError between `backward` and `step`."""
        if self._passes:
            raise AssertionError(
                "optimizer.zero_grad() was called after loss.backward() but before "
                "optimizer.step() or optimizer.synchronize()."
            )
        super().zero_grad()  # type: ignore[misc]

    def load_state_dict(self, state_dict: Any) -> None:
        """Take over a state; backward passes that were counted are forgotten."""
        self._passes.clear()
        self._synchronized, self._should_synchronize = False, True
        super().load_state_dict(state_dict)  # type: ignore[misc]


def DistributedOptimizer(
    optimizer: torch.optim.Optimizer,
    named_parameters: Any = None,
    compression: Any = Compression.none,
    backward_passes_per_step: int = 1,
    op: ReduceOp = ReduceOp.Average,
    gradient_predivide_factor: float = 1.0,
) -> Any:
    """Return an optimiser of the same class and groups that averages gradients before each step.

    As in Horovod, it is a new object: a state that `optimizer` has already is not taken over.
    Raises ValueError for names that are doubled or lacking, and for impossible numbers.
    """
    if gradient_predivide_factor != 1.0 and op is not ReduceOp.Average:
        raise ValueError("gradient_predivide_factor not supported with op != Average")
    if backward_passes_per_step <= 0:
        raise ValueError("backward_passes_per_step must be > 0")
    if named_parameters is not None:
        _require_names(list(named_parameters), optimizer)
    kind = type(type(optimizer).__name__, (_Distributed, type(optimizer)), {})
    made: Any = kind(optimizer.param_groups)
    made._prepare(backward_passes_per_step, op, compression, gradient_predivide_factor)
    return made


def _require_names(named: list[Any], optimizer: torch.optim.Optimizer) -> None:
    if any(not isinstance(entry, tuple) for entry in named):
        raise ValueError(
            "named_parameters should be a sequence of tuples (name, parameter), usually produced "
            "by model.named_parameters()."
        )
    names = [name for name, _ in named]
    if len(set(names)) < len(names):
        raise ValueError("Parameter names in named_parameters must be unique.")
    known = {id(parameter) for _, parameter in named}
    if any(id(p) not in known for group in optimizer.param_groups for p in group["params"]):
        raise ValueError(
            "named_parameters was specified, but one or more model parameters were not named."
        )
