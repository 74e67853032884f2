"""3.9 `pca_stream`: mean and principal components in one pass, with little in memory.

The blocks of the input come from an instrument, so how often each was loaded is known. What is in
memory at once is a claim of a probe. A two-pass computation holds everything or loads everything
twice, and the usual one-pass formula is wrong far from zero: so no check stands alone.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from shardwork.grading import Instrument, OracleBank, blame, close

TOLERANCE = 1e-5
"""Right ways near 1e8 are within 1e-7 for the mean and 1e-8 for the components; sums of squares are
off by about 1, and the mistakes about weights and blocks by more than 6e-4."""
MOST_BLOCKS = 3.2
"""In memory at once, of blocks of 250 kB. Summaries of blocks: 0.1 to 2.0; everything: 24 and more.
"""

Answer = tuple[np.ndarray, np.ndarray]


class Rows(Instrument):
    """Gives the blocks of an array, and counts how often each was loaded."""

    def __init__(self, blocks: list[np.ndarray]) -> None:
        self.blocks = blocks
        self.loads: Counter[int] = Counter()

    def call(self, i: int, j: int) -> np.ndarray:
        self.loads[i] += 1
        return self.blocks[i]

    @property
    def again(self) -> int:
        """Loads beyond the first of each block."""
        return self.loads.total() - len(self.loads)


def draw(rng, lengths: list[int], columns: int, offset: float, drift: float) -> list[np.ndarray]:
    """Draw blocks of rows; their means move by `drift` from the first block to the last.

    Column by column, the rows lie around `offset` and its multiples.
    """
    scale = 2.0 ** -np.arange(columns) + 0.01
    turn = np.linalg.qr(rng.normal(size=(columns, columns)))[0]
    away = np.sign(rng.normal(size=columns)) * (0.5 + rng.random(columns)) * offset
    # along the direction that varies least within a block, so that drifting changes the order
    path = drift * turn[-1]
    steps = np.linspace(-0.5, 0.5, len(lengths))
    return [
        away + step * path + (rng.normal(size=(n, columns)) * scale) @ turn
        for n, step in zip(lengths, steps, strict=True)
    ]


def uneven(rng, blocks: int) -> list[int]:
    """Draw lengths of blocks: the first ones are long, the last ones short."""
    return [int(rng.integers(300, 500) if i < blocks // 2 else rng.integers(30, 60))
            for i in range(blocks)]  # fmt: skip


def components(scatter: np.ndarray, k: int) -> np.ndarray:
    return np.linalg.eigh(scatter)[1].T[::-1][:k]


def expected(blocks: list[np.ndarray], k: int) -> Answer:
    rows = np.concatenate(blocks)
    # Twice centred: the first mean is rounded far from zero.
    centred = rows - rows.mean(axis=0)
    rest = centred.mean(axis=0)
    centred = centred - rest
    return rows.mean(axis=0) + rest, components(centred.T @ centred, k)


def same_up_to_sign(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays have the same rows, each up to its sign."""
    if a.shape != b.shape or a.dtype != b.dtype or not np.isfinite(a).all():
        return False
    signs = np.where((a * b).sum(axis=1) < 0, -1.0, 1.0)
    return close(a * signs[:, None], b, rel=TOLERANCE)


def ask(student, dask, blocks: list[np.ndarray], k: int) -> tuple[Answer, Rows]:
    """Call the student's function; return its answer, of the right form, and the loads."""
    rows = Rows(blocks)
    columns = blocks[0].shape[1]
    x = dask.blocks(rows, ([len(block) for block in blocks], [columns]))
    mean, found = student.value("pca_stream", x, k, as_=tuple[np.ndarray, np.ndarray])
    assert mean.shape == (columns,) and found.shape == (k, columns), blame(
        because="The mean should have the shape (d,), and the components (k, d).",
        mean=list(mean.shape), components=list(found.shape),
    )  # fmt: skip
    assert mean.dtype == found.dtype == np.float64, blame(
        because="The mean and the components should be float64."
    )
    return (mean, found), rows


def test_values(student, dask, rng):
    """Mean and components are right, with blocks of different lengths that drift."""
    lengths, columns = uneven(rng, 12), int(rng.integers(4, 7))
    k = int(rng.integers(2, columns))
    blocks = draw(rng, lengths, columns, offset=6.0, drift=9.0)
    (mean, found), _ = ask(student, dask, blocks, k)
    right_mean, right = expected(blocks, k)
    rows = np.concatenate(blocks)
    within = [block - block.mean(axis=0) for block in blocks]
    means = OracleBank(
        right=right_mean,
        wrong={"MEAN_OF_MEANS": np.mean([block.mean(axis=0) for block in blocks], axis=0)},
        same=lambda a, b: close(a, b, rel=TOLERANCE),
    )
    assert means.accepts(mean), means.explain(mean)
    bank = OracleBank(
        right=right,
        wrong={
            "NOT_CENTRED": components(rows.T @ rows, k),
            "BETWEEN_FORGOTTEN": components(sum(c.T @ c for c in within), k),
        },
        same=same_up_to_sign,
    )
    assert bank.accepts(found), bank.explain(found, k=k)


def test_far_from_zero(student, dask, rng):
    """The components are right where the values are near 1e8."""
    lengths, columns = uneven(rng, 8), 5
    near = draw(rng, lengths, columns, offset=6.0, drift=0.0)
    far = draw(rng, lengths, columns, offset=1e8, drift=0.0)
    (mean, found), _ = ask(student, dask, far, 2)
    right_mean, right = expected(far, 2)
    # To 1e-5 of the standard deviation, which is near 1; not of the mean.
    assert close(mean, right_mean, rel=0.0, abs=TOLERANCE), blame(
        because="The mean is not right to five digits of the standard deviation."
    )
    if same_up_to_sign(found, right):
        return
    (_, control), _ = ask(student, dask, near, 2)
    only_far = same_up_to_sign(control, expected(near, 2)[1])
    assert not only_far, blame("SUM_OF_SQUARES")
    # What is wrong near zero, too, is told by `test_values`.
    raise AssertionError(blame(because="The components are wrong."))


def test_one_pass(student, dask, rng):
    """Each block is loaded once; the first may be loaded twice."""
    blocks = draw(rng, uneven(rng, 10), 4, offset=3.0, drift=1.0)
    _, rows = ask(student, dask, blocks, 2)
    assert len(rows.loads) == len(blocks), blame(because="Some blocks were never loaded.")
    others = sum(n - 1 for i, n in rows.loads.items() if i)
    assert others == 0 and rows.again <= 1, blame("TWO_PASSES", loads=rows.loads.total(), blocks=10)


def test_memory(student, dask, rng):
    """At most three blocks are in memory at once."""
    n, columns = 5200, 6
    blocks = draw(rng, [n] * 24, columns, offset=3.0, drift=1.0)
    size = blocks[0].nbytes
    with dask.watch() as seen:
        _, rows = ask(student, dask, blocks, 2)
    assert len(rows.loads) == len(blocks), blame(because="Some blocks were never loaded.")
    peak, largest = seen.peak_bytes / size, seen.largest_bytes / size
    found = {"peak_blocks": round(peak, 2), "largest_blocks": round(largest, 2)}
    assert seen.computes, blame(because="The blocks were not computed by Dask's local scheduler.")
    code = None
    if largest >= len(blocks) - 1:
        code = "COMPUTED_X"
    elif peak >= len(blocks) / 2:
        code = "HOLDS_X"
    assert peak <= MOST_BLOCKS, blame(
        code, **found,
        because="" if code else "Up to {peak_blocks} blocks are in memory at once.",
    )  # fmt: skip


def test_edges(student, dask, rng):
    """Blocks of one row, all components, and a k that is out of range."""
    blocks = draw(rng, [1, 1, 40, 1, 25], 3, offset=2.0, drift=1.0)
    (_, found), _ = ask(student, dask, blocks, 3)
    assert same_up_to_sign(found @ found.T, np.eye(3)), blame(
        because="The components should have length 1 and be at right angles to each other."
    )
    x = dask.blocks(Rows(blocks), ([len(block) for block in blocks], [3]))
    for k in (0, 4):
        raised = student.refusal("pca_stream", x, k)
        assert "ValueError" in raised, blame(
            because="A k below 1 or above the number of columns should raise ValueError."
        )
