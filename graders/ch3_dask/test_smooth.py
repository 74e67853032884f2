"""3.4 `smooth`: a moving mean over chunks, with a halo as deep as it must be, and no more blocks.

Right values come from NumPy alone: the padded array and a sliding window. Where they are wrong says
why: along the borders between blocks, how deep, or along the outer edge only. Which blocks one
block of the result needs is known from an instrument, which the blocks of the input come from.
"""

from __future__ import annotations

import numpy as np

from shardwork.grading import Array, Instrument, Refusal, StudentFault, blame

MODES = {"nearest": "edge", "reflect": "symmetric", "periodic": "wrap"}
TOLERANCE = 1e-9
"""For values near 1. Sums of at most 121 numbers in another order differ by less than 1e-14, and
running sums along 100 cells by less than 1e-13; the mistakes differ by more than 1e-4."""
MOST_NEIGHBOURS = 9


class Blocks(Instrument):
    """Gives the blocks of an array, or refuses to; remembers which were asked for."""

    def __init__(self, refuses: bool = False) -> None:
        self.refuses = refuses
        self.loaded: set[tuple[int, ...]] = set()

    def call(self, i: int, j: int) -> float:
        self.loaded.add((i, j))
        if self.refuses:
            raise Refusal("this array is larger than all memory, and cannot be computed")
        return float(i + 10 * j)


def truth(values: np.ndarray, depth: int, boundary: str) -> np.ndarray:
    """Return the moving mean of a whole array."""
    padded = np.pad(values, depth, mode=MODES[boundary])
    window = (2 * depth + 1,) * 2
    return np.lib.stride_tricks.sliding_window_view(padded, window).mean(axis=(2, 3))


def chunks_of(rng, depth: int, blocks: int) -> tuple[int, ...]:
    """Draw uneven chunks, each so long that it has cells that no border reaches."""
    return tuple(int(n) for n in rng.integers(2 * depth + 3, 3 * depth + 9, blocks))


class Case:
    """One call of the student's function, and where its values are wrong."""

    def __init__(self, student, dask, rng, depth: int, boundary: str, chunks) -> None:
        self.depth, self.boundary, self.chunks = depth, boundary, chunks
        values = 1.0 + rng.random([sum(sizes) for sizes in chunks])
        x = dask.array(values, chunks)
        self.right = truth(values, depth, boundary)
        self.answer = student.call("smooth", x, depth, boundary, returns=Array)
        self.found = self.answer.compute()
        self.same_form = (
            self.found.shape == self.right.shape and self.found.dtype == self.right.dtype
        )
        self.wrong = np.zeros(self.right.shape, bool)
        if self.same_form:
            with np.errstate(invalid="ignore"):
                self.wrong = ~(np.abs(self.found - self.right) <= TOLERANCE)

    @property
    def near_edge(self) -> np.ndarray:
        """Cells that the outer edge reaches: fewer than `depth` cells away from it."""
        inner = np.zeros(self.right.shape, bool)
        d = self.depth
        inner[d : inner.shape[0] - d, d : inner.shape[1] - d] = True
        return ~inner

    @property
    def from_border(self) -> np.ndarray:
        """How many cells lie between each cell and the nearest border between two blocks."""
        along = []
        for sizes in self.chunks:
            ends = np.cumsum(sizes)[:-1]
            cells = np.arange(sum(sizes))
            along.append(
                np.min([np.where(cells < e, e - 1 - cells, cells - e) for e in ends], axis=0)
            )
        return np.minimum.outer(along[0], along[1])

    @property
    def seam(self) -> int:
        """How deep the wrong cells go from the borders between blocks; -1 if there are others."""
        wrong = self.wrong & ~self.near_edge
        if not wrong.any():
            return 0
        deepest = int(self.from_border[wrong].max()) + 1
        return deepest if deepest <= self.depth else -1


def cases(student, dask, rng) -> list[Case]:
    found = []
    for boundary in MODES:
        depth = int(rng.integers(2, 6))
        chunks = [chunks_of(rng, depth, int(n)) for n in rng.integers(3, 5, 2)]
        found.append(Case(student, dask, rng, depth, boundary, chunks))
    return found


def test_values(student, dask, rng):
    """Each cell is the mean of the cells around it: in blocks, at their borders and at the edge."""
    runs = cases(student, dask, rng)
    assert all(run.same_form for run in runs), blame(
        because="The result has another shape or type than x."
    )
    wrong = [run for run in runs if run.wrong.any()]
    seams = [run.seam for run in runs]
    code = None
    if wrong and -1 not in seams:
        if all(run.seam == run.depth for run in runs):
            code = "NO_HALO"
        elif any(seams):
            code = "DEPTH_SHORT"
        else:
            code = "BOUNDARY_WRONG"
    share = max((float(run.wrong.mean()) for run in runs), default=0.0)
    assert not wrong, blame(
        code, wrong=len(wrong), tried=len(runs), share=round(share, 3), seams=seams,
        depths=[run.depth for run in runs],
        because="" if code else "Cells far from every border and edge are wrong, too.",
    )  # fmt: skip


def test_neighbours(student, dask, rng):
    """A block of the result needs the blocks around its place, and no others."""
    depth = int(rng.integers(2, 5))
    chunks = [chunks_of(rng, depth, 5), chunks_of(rng, depth, 6)]
    for boundary in ("reflect", "periodic"):
        blocks = Blocks()
        x = dask.blocks(blocks, chunks)
        answer = student.call("smooth", x, depth, boundary, returns=Array)
        assert not blocks.loaded, blame("COMPUTED", loaded=len(blocks.loaded))
        layout = answer.layout()
        single = layout.num_blocks == (1, 1)
        assert layout.chunks == tuple(chunks), blame(
            "ONE_CHUNK" if single else None,
            because="" if single else "The result has other chunks than x.",
        )
        for place in ((2, 3), (0, 0)):
            blocks.loaded.clear()
            answer.block(*place).compute()
            loaded = len(blocks.loaded)
            assert loaded >= MOST_NEIGHBOURS or place == (0, 0), blame(
                because="A block in the middle was computed from {loaded} blocks of x, but its "
                "cells depend on nine.", loaded=loaded,
            )  # fmt: skip
            assert loaded <= MOST_NEIGHBOURS, blame(
                "ONE_CHUNK" if loaded == 30 else None, loaded=loaded,
                because="" if loaded == 30
                else "A block of the result needs {loaded} blocks of x, and nine lie around it.",
            )  # fmt: skip


def test_chunks(student, dask, rng):
    """The result has exactly the chunks of x, also where some are shorter than the depth."""
    wrong_anyway = False
    for depth, boundary, chunks in [
        (3, "nearest", ((12, 9, 14), (10, 11))),
        (4, "reflect", ((10, 10, 10, 3), (10, 10, 10, 1))),
        (5, "periodic", ((12, 2, 12), (3, 11, 12))),
    ]:
        run = Case(student, dask, rng, depth, boundary, chunks)
        found = run.answer.layout()
        code = None
        if found.num_blocks == (1, 1):
            code = "ONE_CHUNK"
        elif depth > 3:
            code = "CHUNKS_CHANGED"
        assert found.chunks == chunks, blame(
            code, because="" if code else "The result has other chunks than x."
        )
        assert run.same_form, blame(because="The result has another shape or type than x.")
        # Of wrong values, `test_values` says why; those in short chunks only are seen here.
        wrong_anyway |= depth == 3 and bool(run.wrong.any())
        assert wrong_anyway or not run.wrong.any(), blame(
            because="Some values are wrong where chunks are shorter than the depth."
        )


def test_nothing_computed(student, dask, rng):
    """Nothing is computed while the graph is built."""
    blocks = Blocks(refuses=True)
    x = dask.blocks(blocks, ((4000,) * 5, (5000,) * 4))
    depth = int(rng.integers(2, 6))
    with dask.watch() as seen:
        try:
            answer = student.call("smooth", x, depth, "reflect", returns=Array)
        except StudentFault:
            assert not blocks.loaded, blame("COMPUTED", loaded=len(blocks.loaded))
            raise
    assert not blocks.loaded and not seen.computes, blame(
        "COMPUTED", loaded=len(blocks.loaded), computes=seen.computes
    )
    assert answer.layout().shape == (20_000, 20_000), blame(
        because="The result has another shape or type than x."
    )


def test_edges(student, dask, rng):
    """A depth of 0 changes nothing, and a single block needs no halo."""
    for depth, chunks in [(0, ((5, 6), (7, 4))), (2, ((11,), (9,)))]:
        run = Case(student, dask, rng, depth, "nearest", chunks)
        assert run.same_form, blame(because="The result has another shape or type than x.")
        if depth:
            continue  # its values are another check's subject
        assert not run.wrong.any(), blame(because="With a depth of 0 the values have changed.")
