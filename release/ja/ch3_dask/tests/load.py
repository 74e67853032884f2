import tempfile
from pathlib import Path

import dask.dataframe as dd
import pandas as pd
from otter.test_files import test_case

OK_FORMAT = False
name = "load"
points = None


def weather():
    """Write two files of six days each, 0 to 11; return the folder."""
    folder = Path(tempfile.mkdtemp())
    for number in range(2):
        days = list(range(6 * number, 6 * number + 6))
        table = pd.DataFrame({"day": days, "heat": [d + 0.5 for d in days], "town": ["oslo"] * 6})
        table.to_parquet(folder / f"{number}.parquet", index=False)
    return str(folder)


@test_case(
    name="rows",
    success_message="4日目から7日目まで（8日目は含まない）の4日がそろっています。",
    failure_message="4日以上8日未満を指定すると、4行になるはずです。",
)
def test_rows(load):
    result = load(weather(), ["day", "heat"], 4, 8)
    kind = type(result).__name__
    assert isinstance(result, dd.DataFrame), f'loadがDaskのDataFrameではなく、{kind}を返しました。'
    days = sorted(int(day) for day in result.compute()["day"])
    number = len(days)
    assert number == 4, f'結果は{number}行です。'
    assert sum(days) == 22, f'行の日は{days}です。'


@test_case(
    name="columns",
    success_message="列は、指定したとおりの順に並んでいます。",
    failure_message="結果の列は、指定した列が指定した順に並ぶはずです。",
)
def test_columns(load):
    columns = [str(column) for column in load(weather(), ["town", "heat"], 4, 8).compute().columns]
    assert columns == ["town", "heat"], f'townとheatを指定しましたが、列は{columns}です。'


@test_case(
    name="a plan",
    success_message="loadの呼び出し中に、データは読まれていません。",
    failure_message="呼び出しはフッターだけを読むはずです。データを読むのはあとです。",
)
def test_plan(load):
    folder = weather()
    for file in Path(folder).iterdir():  # data begins at byte 4; the footer stands at the end
        content = file.read_bytes()
        file.write_bytes(content[:4] + b"\xff" * 96 + content[100:])
    try:
        load(folder, ["heat"], 4, 8)
    except Exception:
        raise AssertionError("loadの呼び出し中に、データが読まれました。") from None


@test_case(
    name="no rows",
    success_message="日を含まない範囲では、行がありません。",
    failure_message="始まりより前に終わる範囲では、行がないはずです。",
)
def test_no_rows(load):
    number = len(load(weather(), ["heat"], 8, 4))
    assert number == 0, f'結果は{number}行です。'
