"""Run a student's training function in a gloo rank, and note what it does (torch 2.13).

Sandbox side: what is noted is a claim. The judge corroborates it with the final weights, which
come out right only if the rows, the reductions and the steps were what the notes say.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Dataset

from shardwork.probes import modules
from shardwork.probes.server import question
from shardwork.probes.torch.collectives import Collectives

MOST_EVENTS = 5_000
REPORT = ("steps", "losses")
"""What the judge looks at in the returned dict."""


@question("torch.ddp.train")
def train(
    rank: int,
    world: int,
    target: Callable[[int, int, SimpleNamespace], object],
    sizes: list[int],
    weights: dict[str, Any],
    x: torch.Tensor,
    y: torch.Tensor,
    settings: dict[str, Any],
    run: str,
) -> tuple[object, ...]:
    """Call `target(rank, world, cfg)`; return the parts of `shardwork.judge.torch.ddp.Rank`.

    Makes a folder for the checkpoint, which all ranks of this `run` share, in the folder for
    temporary files.
    """
    folder = Path(tempfile.gettempdir()) / f"training-{run}"
    folder.mkdir(exist_ok=True)
    events: list[tuple[str, int, int]] = []
    seen: list[list[int]] = []
    checkpoint = str(folder / "checkpoint.pt")
    model = _Noting(modules.build("mlp", sizes, weights), x, events, seen)
    cfg = SimpleNamespace(
        model=model,
        dataset=_Rows(x, y),
        loss=torch.nn.MSELoss(),
        make_optimizer=lambda parameters: _Sgd(
            parameters, settings["rate"], settings["momentum"], events
        ),
        checkpoint=checkpoint,
        **{name: settings[name] for name in ("epochs", "batch_size", "accumulate", "seed")},
    )
    with _watched(folder, events):
        result = target(rank, world, cfg)
    wrote = any(what == "write" for what, _, _ in events)
    return (
        result if type(result) is not dict else {k: result[k] for k in REPORT if k in result},
        events[:MOST_EVENTS],
        seen[:MOST_EVENTS],
        [parameter.detach().clone() for parameter in model.parameters()],
        wrote,
        *_load(checkpoint if wrote else ""),
    )


class _Rows(Dataset):  # type: ignore[misc]
    """Rows of two tensors; a row is read as often as one likes."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self._x, self._y = x, y

    def __len__(self) -> int:
        return len(self._x)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self._x[index], self._y[index]


class _Noting(modules.Mlp):
    """An Mlp that notes which rows it is applied to while gradients are recorded."""

    def __init__(
        self,
        inner: torch.nn.Module,
        x: torch.Tensor,
        events: list[tuple[str, int, int]],
        seen: list[list[int]],
    ) -> None:
        torch.nn.Module.__init__(self)
        self.first, self.second = inner.first, inner.second
        self._number = {row.numpy().tobytes(): index for index, row in enumerate(x)}
        self._events, self._seen = events, seen

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled():
            flat = rows.detach().reshape(-1, rows.shape[-1])
            self._seen.append([self._number.get(row.numpy().tobytes(), -1) for row in flat])
            self._events.append(("forward", len(flat), 0))
        return super().forward(rows)


class _Sgd(torch.optim.SGD):  # type: ignore[misc]
    """SGD that notes its steps."""

    def __init__(
        self, parameters: Any, rate: float, momentum: float, events: list[tuple[str, int, int]]
    ) -> None:
        super().__init__(parameters, lr=rate, momentum=momentum)
        self._noted = events

    def step(self, closure: Any = None) -> Any:
        value = super().step(closure)
        self._noted.append(("step", 0, 0))
        return value


@contextmanager
def _watched(folder: Path, events: list[tuple[str, int, int]]) -> Iterator[None]:
    """Note collectives, calls of a DDP module, uses of `no_sync`, and files written below `folder`.

    It changes this process for good, which is a rank that ends after the call.
    """
    plain_no_sync = DistributedDataParallel.no_sync
    plain_writer = torch._C.PyTorchFileWriter
    root = folder.absolute()

    def note_write(path: object) -> None:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        if root in Path(os.fsdecode(path)).absolute().parents:
            events.append(("write", 0, 0))

    def audit(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = args
            writes = any(letter in mode for letter in "wax+") if isinstance(mode, str) else False
            if writes or (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)):
                note_write(path)
        elif event == "os.rename":
            note_write(args[1])

    class Writer(plain_writer):  # type: ignore[misc,valid-type]
        """The C++ writer of `torch.save` opens its file unseen by audit hooks."""

        def __init__(self, file: object, *args: Any, **kwargs: Any) -> None:
            note_write(file)
            super().__init__(file, *args, **kwargs)

    def no_sync(self: Any) -> Any:
        events.append(("no_sync", 0, 0))
        return plain_no_sync(self)

    def entered(module: torch.nn.Module, _: object) -> None:
        if isinstance(module, DistributedDataParallel):
            events.append(("wrapped", 0, 0))

    sys.addaudithook(audit)
    torch._C.PyTorchFileWriter = Writer
    DistributedDataParallel.no_sync = no_sync
    torch.nn.modules.module.register_module_forward_pre_hook(entered)
    with Collectives(events):
        yield


def _load(path: str) -> tuple[str, list[str], list[torch.Tensor]]:
    """Read a checkpoint: why it cannot be read, else its names and tensors."""
    if not path:
        return "none", [], []
    try:
        state = torch.load(path, weights_only=True)
    except FileNotFoundError:
        return "missing", [], []
    except Exception:
        return "unreadable", [], []
    if not isinstance(state, dict):
        return "no dict", [], []
    if not all(isinstance(v, torch.Tensor) and isinstance(k, str) for k, v in state.items()):
        return "no state dict", [], []
    return "", list(state), [value.detach().clone() for value in state.values()]
