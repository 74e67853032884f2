"""`comm()`: the network between the ranks of `run_ranks`, as the exercises of chapter 4 use it.

The same methods as the object that the judge hands to a graded function; here they run over gloo.
"""

from __future__ import annotations

from typing import Any

_MAX_DIMENSIONS = 8
_TYPES = ("float64", "float32", "float16", "int64")


class GlooComm:
    """Messages and collectives between the ranks of this run, over `torch.distributed`.

    Tensors are float64, float32, float16 or int64. Every method may raise what gloo raises when
    another rank has gone: RuntimeError.
    """

    @property
    def rank(self) -> int:
        """This rank."""
        return int(_dist().get_rank())

    @property
    def size(self) -> int:
        """The number of ranks."""
        return int(_dist().get_world_size())

    def send(self, tensor: Any, dst: int) -> None:
        """Send a tensor to rank `dst`. It may not return before `dst` has called `recv`."""
        self.isend(tensor, dst).wait()

    def isend(self, tensor: Any, dst: int) -> Work:
        """Begin to send a copy of a tensor to rank `dst`; see `Work.wait`."""
        import torch

        value = _checked(tensor).clone()
        sizes = [_TYPES.index(_name(value)), value.dim(), *value.shape]
        header = torch.tensor(sizes + [0] * (_MAX_DIMENSIONS + 2 - len(sizes)))
        dist = _dist()
        work = Work([dist.isend(header, dst), dist.isend(value, dst)], (header, value))
        return _remembered(work)

    def recv(self, src: int) -> Any:
        """Wait for the next tensor that rank `src` sends to this rank, and return it."""
        import torch

        header = torch.empty(_MAX_DIMENSIONS + 2, dtype=torch.int64)
        dist = _dist()
        dist.recv(header, src)
        kind, dimensions, *shape = header.tolist()
        value = torch.empty(shape[:dimensions], dtype=getattr(torch, _TYPES[kind]))
        dist.recv(value, src)
        return value

    def all_reduce(self, tensor: Any, async_op: bool = False) -> Work | None:
        """Replace a tensor by its sum over all ranks, in place.

        With `async_op` it returns at once; the sum is there after `wait` on the result, and until
        then the tensor must be left alone.
        """
        work = _dist().all_reduce(_checked(tensor), async_op=async_op)
        if not async_op:
            return None
        return _remembered(Work([work], (tensor,)))

    def broadcast(self, tensor: Any, src: int) -> None:
        """Replace a tensor by that of rank `src`, in place."""
        _dist().broadcast(_checked(tensor), src)

    def all_gather(self, tensor: Any) -> list[Any]:
        """Return the tensors that all ranks gave (of one shape), in the order of ranks."""
        import torch

        value = _checked(tensor)
        gathered = [torch.empty_like(value) for _ in range(self.size)]
        _dist().all_gather(gathered, value.contiguous())
        return gathered


class Work:
    """Something that has begun. `wait` returns when it is done."""

    def __init__(self, parts: list[Any], kept: tuple[Any, ...]) -> None:
        self._parts = parts
        self._kept = kept  # gloo reads and writes these until it is done

    def is_done(self) -> bool:
        """Say whether it is done, without waiting."""
        return all(part.is_completed() for part in self._parts)

    def wait(self) -> None:
        """Wait until it is done. Waiting again is allowed, and does nothing."""
        for part in self._parts:
            part.wait()
        self._parts = []


_begun: list[Work] = []
"""What this rank has begun: gloo drops an operation whose handle is thrown away."""


def _remembered(work: Work) -> Work:
    _begun[:] = [one for one in _begun if not one.is_done()] + [work]
    return work


def comm() -> GlooComm:
    """Return the network of this rank. Call it in a function that `run_ranks` runs.

    Raises RuntimeError outside of one.
    """
    if not _dist().is_initialized():
        raise RuntimeError("lab.comm() works in a function that lab.run_ranks runs.")
    return GlooComm()


def _dist() -> Any:
    import torch.distributed

    return torch.distributed


def _name(tensor: Any) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _checked(tensor: Any) -> Any:
    import torch

    if not isinstance(tensor, torch.Tensor) or _name(tensor) not in _TYPES:
        raise TypeError(f"comm takes tensors of {', '.join(_TYPES)}")
    return tensor.detach()
