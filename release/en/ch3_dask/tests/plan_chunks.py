import math

import dask.array as da
import numpy as np
from otter.test_files import test_case

OK_FORMAT = False
name = "plan_chunks"
points = None

MAX_BYTES = 40_000


def planned(plan_chunks, dtype="float64"):
    """Plan a small array of 200 by 300 elements, with the axis of length 200 whole."""
    x = da.ones((200, 300), chunks=(50, 75), dtype=dtype)
    result = plan_chunks(x, 0, MAX_BYTES)
    kind = type(result).__name__
    assert isinstance(result, da.Array), f"plan_chunks should return a Dask array, not a {kind}."
    return result


def weight(x):
    return math.prod(max(lengths) for lengths in x.chunks) * x.dtype.itemsize


@test_case(
    name="values",
    success_message="The values stay as they are.",
    failure_message="The result should have the values and the shape of x.",
)
def test_values(plan_chunks):
    values = np.arange(60).reshape(12, 5)
    result = plan_chunks(da.from_array(values, chunks=(4, 2)), 1, 200).compute()
    assert result.shape == values.shape, f"The shape is {result.shape}."
    assert (result == values).all(), "Some values have changed."


@test_case(
    name="axis",
    success_message="The axis lies in one chunk, counted from the front or from the end.",
    failure_message="For axis = 0 and for axis = -2, a block of an array of 200 by 300 should "
    "hold all 200.",
)
def test_axis(plan_chunks):
    x = da.ones((200, 300), chunks=(50, 75))
    for axis in (0, -2):
        lengths = plan_chunks(x, axis, MAX_BYTES).chunks[0]
        assert len(lengths) == 1, f"For axis = {axis} it is cut into {len(lengths)} chunks."


@test_case(
    name="budget",
    success_message="The blocks fit into the budget, for small types and large ones.",
    failure_message="No block of an array of 200 by 300 may weigh more than 40,000 bytes.",
)
def test_budget(plan_chunks):
    for dtype in ("float32", "float64", "complex128"):
        heaviest = weight(planned(plan_chunks, dtype))
        assert heaviest <= MAX_BYTES, f"With {dtype}, the heaviest block has {heaviest} bytes."


@test_case(
    name="number of blocks",
    success_message="There are not many more blocks than are needed.",
    failure_message="480,000 bytes in blocks of 40,000: 12 would do, and 36 are the most.",
)
def test_number_of_blocks(plan_chunks):
    blocks = planned(plan_chunks).npartitions
    assert blocks <= 36, f"There are {blocks} blocks."


@test_case(
    name="error",
    success_message="An axis that does not fit raises ValueError.",
    failure_message="One line of 200 elements has 1600 bytes; with a budget of 1500, the call "
    "should raise ValueError.",
)
def test_error(plan_chunks):
    raised = False
    try:
        plan_chunks(da.ones((200, 300), chunks=(10, 10)), 0, 1500)
    except ValueError:
        raised = True
    assert raised, "No ValueError was raised."
