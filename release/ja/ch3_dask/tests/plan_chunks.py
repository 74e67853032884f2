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
    assert isinstance(result, da.Array), f'plan_chunksはDaskの配列を返すはずですが、{kind}が返されました。'
    return result


def weight(x):
    return math.prod(max(lengths) for lengths in x.chunks) * x.dtype.itemsize


@test_case(
    name="values",
    success_message="値は変わっていません。",
    failure_message="結果は、xと同じ値、同じ形でなければなりません。",
)
def test_values(plan_chunks):
    values = np.arange(60).reshape(12, 5)
    result = plan_chunks(da.from_array(values, chunks=(4, 2)), 1, 200).compute()
    assert result.shape == values.shape, f'形が{result.shape}になっています。'
    assert (result == values).all(), "値の一部が変わっています。"


@test_case(
    name="axis",
    success_message="前から数えても後ろから数えても、軸は1つのチャンクに収まっています。",
    failure_message="axis = 0でもaxis = -2でも、200×300の配列のブロックは200の全体を持たなければなりません。",
)
def test_axis(plan_chunks):
    x = da.ones((200, 300), chunks=(50, 75))
    for axis in (0, -2):
        lengths = plan_chunks(x, axis, MAX_BYTES).chunks[0]
        assert len(lengths) == 1, f'axis = {axis}のとき、軸が{len(lengths)}個のチャンクに切れています。'


@test_case(
    name="budget",
    success_message="小さい型でも大きい型でも、ブロックは予算に収まっています。",
    failure_message="200×300の配列のブロックは、40,000バイトを超えてはいけません。",
)
def test_budget(plan_chunks):
    for dtype in ("float32", "float64", "complex128"):
        heaviest = weight(planned(plan_chunks, dtype))
        assert heaviest <= MAX_BYTES, f'{dtype}では、最も重いブロックが{heaviest}バイトあります。'


@test_case(
    name="number of blocks",
    success_message="ブロックの数は、必要な数に比べて多すぎません。",
    failure_message="480,000バイトを40,000バイトのブロックに分けるなら12個で足り、36個が上限です。",
)
def test_number_of_blocks(plan_chunks):
    blocks = planned(plan_chunks).npartitions
    assert blocks <= 36, f'ブロックが{blocks}個あります。'


@test_case(
    name="error",
    success_message="収まらない軸に対して、ValueErrorが発生します。",
    failure_message="200要素の線1本は1600バイトです。予算が1500なら、ValueErrorが発生しなければなりません。",
)
def test_error(plan_chunks):
    raised = False
    try:
        plan_chunks(da.ones((200, 300), chunks=(10, 10)), 0, 1500)
    except ValueError:
        raised = True
    assert raised, "ValueErrorが発生しませんでした。"
