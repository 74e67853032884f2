"""Defences that can be switched off, one at a time, to see an attack win.

Each function changes data or one function of the trusted side, in the process that it is called in:
the batch, and each judge.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Defence:
    """One defence: what it does, an attack that wins without it, and how it is switched off."""

    name: str
    says: str
    attack: str
    apply: Callable[[], None]


DEFENCES: dict[str, Defence] = {}


def defence(attack: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register a function that switches off the defence of its name; its docstring is `says`."""

    def register(apply: Callable[[], None]) -> Callable[[], None]:
        name = apply.__name__
        says = (apply.__doc__ or "").strip()
        if name in DEFENCES:
            raise ValueError(f"two defences are called {name}")
        DEFENCES[name] = Defence(name, says, attack, apply)
        return apply

    return register


def module(name: str) -> Any:
    """Import a module whose data or functions shall be changed."""
    return importlib.import_module(name)


def switch_off(name: str) -> None:
    """Switch a defence off in this process, and in the judges that it starts."""
    load()
    DEFENCES[name].apply()
    _weaken_judges(name)


def load() -> dict[str, Defence]:
    """Import every module that registers defences, and return them all."""
    import pkgutil

    from tests.attacks import defences

    for module in pkgutil.iter_modules(defences.__path__):
        importlib.import_module(f"{defences.__name__}.{module.name}")
    return DEFENCES


def _weaken_judges(name: str) -> None:
    import subprocess

    popen: Any = subprocess.Popen
    real = popen.__init__

    def start(self: Any, args: Any, *more: Any, **kw: Any) -> None:
        if list(args)[1:3] == ["-m", "shardwork.judge"]:
            args = [sys.executable, "-m", "tests.attacks.weak_judge", name, *list(args)[3:]]
        real(self, args, *more, **kw)

    popen.__init__ = start
