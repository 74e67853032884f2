"""`comm` as a function sees it in a rank that is a thread: each call goes to the judge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


class JudgeComm:
    """The methods of `shardwork.lab.comm.GlooComm`, carried by the judge."""

    def __init__(self, call: Callable[..., Any], rank: int | None) -> None:
        self._call = call
        self.rank = rank
        self._size: int | None = None

    @property
    def size(self) -> int:
        """The number of ranks."""
        if self._size is None:
            self._size = int(self._call("size"))
        return self._size

    def send(self, tensor: torch.Tensor, dst: int) -> None:
        """Send a tensor to rank `dst`."""
        self._call("send", _checked(tensor), dst)

    def isend(self, tensor: torch.Tensor, dst: int) -> JudgeWork:
        """Begin to send a copy of a tensor to rank `dst`."""
        return JudgeWork(self._call, self._call("isend", _checked(tensor), dst))

    def recv(self, src: int) -> torch.Tensor:
        """Wait for the next tensor from rank `src`, and return it."""
        return _own(self._call("recv", src))

    def all_reduce(self, tensor: torch.Tensor, async_op: bool = False) -> JudgeWork | None:
        """Replace a tensor by its sum over all ranks, in place; with `async_op` at `wait`."""
        answer = self._call("all_reduce", _checked(tensor), bool(async_op))
        if async_op:
            return JudgeWork(self._call, answer, tensor)
        _fill(tensor, answer)
        return None

    def broadcast(self, tensor: torch.Tensor, src: int) -> None:
        """Replace a tensor by that of rank `src`, in place."""
        _fill(tensor, self._call("broadcast", _checked(tensor), src))

    def all_gather(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        """Return the tensors that all ranks gave, in the order of ranks."""
        return [_own(one) for one in self._call("all_gather", _checked(tensor), None)]


class JudgeWork:
    """Something that has begun; `wait` asks the judge for it once."""

    def __init__(
        self, call: Callable[..., Any], handle: int, target: torch.Tensor | None = None
    ) -> None:
        self._call = call
        self._handle: int | None = handle
        self._target = target

    def wait(self) -> None:
        """Wait until it is done. Waiting again is allowed, and does nothing."""
        if self._handle is None:
            return
        handle, self._handle = self._handle, None
        value = self._call("wait", handle)
        if self._target is not None:
            _fill(self._target, value)


def _checked(tensor: object) -> torch.Tensor:
    if not isinstance(tensor, torch.Tensor):
        raise TypeError("comm takes a tensor")
    return tensor.detach()


def _fill(tensor: torch.Tensor, value: torch.Tensor) -> None:
    tensor.data.copy_(value.reshape(tensor.shape))


def _own(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.clone()  # what came over the wire is read-only
