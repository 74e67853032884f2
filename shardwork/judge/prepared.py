"""What a grader computes before any submission is judged: inputs, references and oracles by seed.

They are the same for the whole class. The station of judges computes them once, for the seeds that
it is told, and every judge that it forks has them.
"""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

T = TypeVar("T")


class Prepared(Generic[T]):
    """Calls `function(rng)` at most once for each seed, and keeps what it returned."""

    def __init__(self, function: Callable[[np.random.Generator], T]) -> None:
        self._function = function
        self._kept: dict[int, T] = {}

    def __call__(self, seed: int) -> T:
        if seed not in self._kept:
            file = Path(inspect.getfile(self._function)).name
            self._kept[seed] = self._function(generator(seed, file, self._function.__name__))
        return self._kept[seed]


def once_per_seed(function: Callable[[np.random.Generator], T]) -> Prepared[T]:
    """Make `function(rng)` a function of the seed that computes once what it returns for it.

    `rng` gives the same numbers for the same seed and function. All checks get the very object:
    change nothing in it. A check that runs the student's code belongs elsewhere; here is no
    sandbox yet.
    """
    return Prepared(function)


def generator(seed: int, file: str, name: str) -> np.random.Generator:
    """Return the random numbers of the check, or the prepared function, `name` in a grader."""
    return np.random.default_rng(
        [seed, *(zlib.crc32(w.encode()) for w in (exercise_of(file), name))]
    )


def exercise_of(file_name: str) -> str:
    """Return the exercise that a grader module is for: `test_tree.py` is for `tree`."""
    return Path(file_name).stem.removeprefix("test_")
