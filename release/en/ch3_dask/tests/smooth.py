import dask.array as da
import numpy as np
from otter.test_files import test_case

OK_FORMAT = False
name = "smooth"
points = None


def smoothed(smooth, chunks, boundary="nearest"):
    """Smooth one bright cell in the middle of 9 by 9, with a depth of 1."""
    values = np.zeros((9, 9))
    values[4, 4] = 9.0
    result = smooth(da.from_array(values, chunks=chunks), 1, boundary)
    kind = type(result).__name__
    assert isinstance(result, da.Array), f"smooth should return a Dask array, not a {kind}."
    return result


@test_case(
    name="one block",
    success_message="In a single block, one bright cell spreads evenly over nine.",
    failure_message="A cell of 9 among zeros should become a square of 3 by 3 ones.",
)
def test_one_block(smooth):
    result = smoothed(smooth, 9).compute()
    assert result.shape == (9, 9), f"The shape is {result.shape}."
    ones = np.zeros((9, 9))
    ones[3:6, 3:6] = 1.0
    assert np.allclose(result, ones), f"Rows 3 to 5 are\n{result[3:6].round(2)}"


@test_case(
    name="several blocks",
    success_message="The result does not depend on the chunks.",
    failure_message="With other chunks the same array should give the same result.",
)
def test_several_blocks(smooth):
    one = smoothed(smooth, 9).compute()
    for chunks in (3, 5):
        several = smoothed(smooth, chunks).compute()
        n = int((~np.isclose(one, several)).sum())
        assert n == 0, f"With chunks of {chunks}, {n} cells differ from those of a single block."


@test_case(
    name="outer edge",
    success_message="Beyond the outer edge, the array continues as boundary says.",
    failure_message="In the row 0 to 5, with a depth of 1, the first mean depends on boundary.",
)
def test_outer_edge(smooth):
    row = da.from_array(np.tile(np.arange(6.0), (6, 1)), chunks=3)
    for boundary, before in (("nearest", 0.0), ("reflect", 0.0), ("periodic", 5.0)):
        found = float(smooth(row, 1, boundary)[2, 0].compute())
        assert np.isclose(found, (before + 0.0 + 1.0) / 3), f'"{boundary}" gives {found:.3f}.'


@test_case(
    name="chunks",
    success_message="The chunks stay as they are.",
    failure_message="The result should have exactly the chunks of x.",
)
def test_chunks(smooth):
    x = da.zeros((20, 20), chunks=((8, 8, 4), (10, 10)))
    found = smooth(x, 2, "reflect").chunks
    assert found == x.chunks, f"The chunks are {found}."
