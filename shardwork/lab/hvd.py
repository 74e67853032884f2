"""`hvd`: Horovod's interface to PyTorch, in the ranks of `run_ranks`.

Stands for `import horovod.torch as hvd`. Where Horovod itself is installed, these names are its
own; otherwise they are those of `shardwork.lab.hvd_gloo`, which do the same over gloo. `backend()`
says which, and so do the versions in a record. Outside of `run_ranks` there is one rank.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from types import ModuleType
from typing import Any

NAMES = frozenset(
    {"Average", "Compression", "DistributedOptimizer", "HorovodInternalError", "Max", "Min",
     "Product", "Sum", "allgather", "allgather_object", "allreduce", "allreduce_", "barrier",
     "broadcast", "broadcast_", "broadcast_object", "broadcast_optimizer_state",
     "broadcast_parameters", "cross_rank", "cross_size", "init", "is_homogeneous",
     "is_initialized", "local_rank", "local_size", "rank", "shutdown", "size"}
)  # fmt: skip
"""The part of Horovod's interface that is here, whichever of the two it comes from."""


@functools.cache
def _module() -> ModuleType:
    installed = importlib.util.find_spec("horovod") is not None
    return importlib.import_module("horovod.torch" if installed else "shardwork.lab.hvd_gloo")


def backend() -> str:
    """Say which Horovod this is: `horovod 0.28.1`, or `shardwork.lab.hvd_gloo`."""
    module = _module()
    if module.__name__ == "horovod.torch":
        return f"horovod {importlib.import_module('horovod').__version__}"
    return module.__name__


def init() -> None:
    """Join the other ranks; call it before anything else of `hvd`. Calling it again does nothing.

    Every rank must call it.
    """
    if _module().__name__ == "horovod.torch":
        from shardwork.lab import hvd_real

        hvd_real.join()
    _module().init()


def __getattr__(name: str) -> Any:
    # Whoever only looks around in all modules must not have torch imported by it.
    if name not in NAMES:
        raise AttributeError(f"hvd has no {name}; it has {', '.join(sorted(NAMES))}")
    return getattr(_module(), name)
