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
    assert isinstance(result, da.Array), f'smoothはDaskの配列を返すはずですが、{kind}が返されました。'
    return result


@test_case(
    name="one block",
    success_message="ブロックが1つのとき、明るいセル1つが9つに均等に広がります。",
    failure_message="0の中に1つだけある9のセルは、3×3の1の正方形にならなければなりません。",
)
def test_one_block(smooth):
    result = smoothed(smooth, 9).compute()
    assert result.shape == (9, 9), f'形が{result.shape}になっています。'
    ones = np.zeros((9, 9))
    ones[3:6, 3:6] = 1.0
    assert np.allclose(result, ones), f'第3行から第5行は次のとおりです。\n{result[3:6].round(2)}'


@test_case(
    name="several blocks",
    success_message="結果はチャンクによって変わりません。",
    failure_message="同じ配列なら、チャンクが違っても同じ結果にならなければなりません。",
)
def test_several_blocks(smooth):
    one = smoothed(smooth, 9).compute()
    for chunks in (3, 5):
        several = smoothed(smooth, chunks).compute()
        n = int((~np.isclose(one, several)).sum())
        assert n == 0, f'チャンクが{chunks}のとき、{n}個のセルが、ブロック1つのときと違います。'


@test_case(
    name="outer edge",
    success_message="一番外側の縁の先では、配列がboundaryのとおりに続いています。",
    failure_message="0から5までの並びで深さが1なら、最初の平均はboundaryによって決まります。",
)
def test_outer_edge(smooth):
    row = da.from_array(np.tile(np.arange(6.0), (6, 1)), chunks=3)
    for boundary, before in (("nearest", 0.0), ("reflect", 0.0), ("periodic", 5.0)):
        found = float(smooth(row, 1, boundary)[2, 0].compute())
        assert np.isclose(found, (before + 0.0 + 1.0) / 3), f'"{boundary}"では{found:.3f}になります。'


@test_case(
    name="chunks",
    success_message="チャンクは変わっていません。",
    failure_message="結果のチャンクは、xとまったく同じでなければなりません。",
)
def test_chunks(smooth):
    x = da.zeros((20, 20), chunks=((8, 8, 4), (10, 10)))
    found = smooth(x, 2, "reflect").chunks
    assert found == x.chunks, f'チャンクが{found}になっています。'
