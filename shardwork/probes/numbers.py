"""Random blocks that both sides can draw: what the sandbox computes, the judge knows."""

from __future__ import annotations

from typing import Any

import numpy as np


def draw_block(
    seed: int, index: tuple[int, ...], shape: tuple[int, ...], offset: float, scale: float
) -> np.ndarray[Any, Any]:
    """Draw block `index` of a random array: float64, normal with this mean and deviation."""
    drawn: np.ndarray[Any, Any] = np.random.default_rng([seed, *index]).standard_normal(shape)
    return offset + scale * drawn
