import dask.dataframe as dd
import pandas as pd
from dask.callbacks import Callback
from otter.test_files import test_case

OK_FORMAT = False
name = "top_k"
points = None


def animals():
    """Return nine animals in three partitions; every kind lies in several of them."""
    frame = pd.DataFrame(
        {
            "kind": ["cat", "dog", "cat", "dog", "cat", "owl", "cat", "dog", "owl"],
            "name": list("abcdefghi"),
            "kilos": [4.0, 31.0, 5.0, 12.0, 6.0, 2.0, 3.0, 40.0, 1.0],
        }
    )
    return dd.from_pandas(frame, npartitions=3, sort=False)


@test_case(
    name="values",
    success_message="種類ごとの重いほうの2匹が、正しく求まっています。",
    failure_message="3つのパーティションにいる9匹について、種類ごとの重いほうの2匹が正しくありません。手で求めてから、compute()の結果を見てください。",
)
def test_values(top_k):
    result = top_k(animals(), "kind", "kilos", 2)
    kind = type(result).__name__
    assert isinstance(result, dd.DataFrame), f'top_kがDaskのDataFrameではなく、{kind}を返しました。'
    columns = [str(column) for column in result.columns]
    assert columns == ["kind", "kilos"], f'結果の列は{columns}です。'
    rows = list(result.compute(scheduler="sync").itertuples(index=False, name=None))
    number = len(rows)
    assert number == 6, f'3種類から2匹ずつで6行になるはずですが、結果は{number}行です。'
    cats = sorted(kilos for kind, kilos in rows if kind == "cat")
    assert cats == [5.0, 6.0], f'猫の重いほうの2匹は5キロと6キロのはずですが、{cats}になっています。'
    assert sum(kilos for _, kilos in rows) == 85.0, "犬またはふくろうが正しくありません。"


@test_case(
    name="a plan",
    success_message="呼び出しは何も計算していません。",
    failure_message="top_kの呼び出しは、計画を組み立てるだけのはずです。",
)
def test_plan(top_k):
    computed = []
    with Callback(start=lambda graph: computed.append(1)):
        top_k(animals(), "kind", "kilos", 2)
    number = len(computed)
    assert number == 0, f'top_kの呼び出し中に、計算が{number}回行われました。'


@test_case(
    name="dtypes",
    success_message="計算した行のdtypeは、結果が示すdtypeと同じです。",
    failure_message="結果が示すdtypeと、計算した行のdtypeが異なります。result.dtypesとresult.compute().dtypesを比べてください。",
)
def test_dtypes(top_k):
    result = top_k(animals(), "kind", "kilos", 2)
    announced = {str(column): str(dtype) for column, dtype in result.dtypes.items()}
    computed = result.compute(scheduler="sync").dtypes
    found = {str(column): str(dtype) for column, dtype in computed.items()}
    assert announced == found, f'示されたdtypeは{announced}、計算した行のdtypeは{found}です。'


@test_case(
    name="errors",
    success_message="k = 0に対して、ValueErrorが送出されています。",
    failure_message="k = 0のとき、呼び出しそのものがValueErrorを送出するはずです。",
)
def test_errors(top_k):
    try:
        top_k(animals(), "kind", "kilos", 0)
    except ValueError:
        return
    raise AssertionError("k = 0の呼び出しで、ValueErrorが送出されませんでした。")
