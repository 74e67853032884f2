import dask.dataframe as dd
import pandas as pd
from dask.callbacks import Callback
from otter.test_files import test_case

OK_FORMAT = False
name = "indexed"
points = None


def visits():
    """Return ten visits in three partitions, in no order of the hour."""
    hours = [7, 3, 10, 1, 9, 5, 2, 8, 6, 4]
    return dd.from_pandas(pd.DataFrame({"hour": hours, "guests": range(10)}), npartitions=3)


def sides():
    """Return two DataFrames in order of their index, which share the values 4 to 7."""
    left = pd.DataFrame({"left": range(8)}, index=range(8))
    right = pd.DataFrame({"right": range(4, 12)}, index=range(4, 12))
    return dd.from_pandas(left, npartitions=4), dd.from_pandas(right, npartitions=4)


@test_case(
    name="index",
    success_message="hourをインデックスとして、10行がそろっています。",
    failure_message="indexedは、hourをインデックスとして、10行すべてを返すはずです。",
)
def test_index(indexed):
    result = indexed(visits(), "hour")
    kind = type(result).__name__
    assert isinstance(result, dd.DataFrame), f'indexedがDaskのDataFrameではなく、{kind}を返しました。'
    hours = [int(hour) for hour in result.compute().index]
    assert sorted(hours) == list(range(1, 11)), f'結果のインデックスは{hours}です。'


@test_case(
    name="divisions",
    success_message="Daskは10行のディビジョンを知っていて、それは正しいものです。",
    failure_message="結果のディビジョンが既知でないか、正しくありません。",
)
def test_divisions(indexed):
    result = indexed(visits(), "hour")
    assert result.known_divisions, "Daskは結果のディビジョンを知りません。"
    found = [len(result.loc[hour:hour]) for hour in range(1, 11)]
    missing = found.count(0)
    assert missing == 0, f'10個のhourのうち{missing}個が、.locで見つかりません。'


@test_case(
    name="few computations",
    success_message="ディビジョンが分かるまでに行われた計算は、1回以下です。",
    failure_message="ディビジョンが分かるまでに行ってよい計算は、1回までです。",
)
def test_few_computations(indexed):
    computed = []
    frame = visits().assign(guests=1)
    with Callback(start=lambda graph: computed.append(1)):
        result = indexed(frame, "hour")
        assert result.npartitions, "結果にパーティションがありません。"
    number = len(computed)
    assert number <= 1, f'計算が{number}回行われました。'


@test_case(
    name="join",
    success_message="4組が正しく結合されています。",
    failure_message="joinは、インデックスの値4から7について、1行ずつ返すはずです。",
)
def test_join(join):
    result = join(*sides()).compute()
    index = sorted(int(value) for value in result.index)
    assert index == [4, 5, 6, 7], f'結合した行のインデックスは{index}です。'
    columns = [str(column) for column in result.columns]
    assert columns == ["left", "right"], f'結合した行の列は{columns}です。'


@test_case(
    name="join knows its divisions",
    success_message="Daskは、結合した行のディビジョンを知っています。",
    failure_message="両側とも順に並んでいるので、結合した行も順に並んでいるはずです。",
)
def test_join_divisions(join):
    assert join(*sides()).known_divisions, "Daskは、結合した行のディビジョンを知りません。"
