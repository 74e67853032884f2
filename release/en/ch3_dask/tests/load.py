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
    success_message="The four days from 4 up to, not including, 8 are there.",
    failure_message="For days from 4 up to, not including, 8 there should be four rows.",
)
def test_rows(load):
    result = load(weather(), ["day", "heat"], 4, 8)
    kind = type(result).__name__
    assert isinstance(result, dd.DataFrame), f"load returned a {kind}, not a Dask DataFrame."
    days = sorted(int(day) for day in result.compute()["day"])
    number = len(days)
    assert number == 4, f"The result has {number} rows."
    assert sum(days) == 22, f"The days of the rows are {days}."


@test_case(
    name="columns",
    success_message="The columns are those that were asked for, in their order.",
    failure_message="The result should have the columns that were asked for, in their order.",
)
def test_columns(load):
    columns = [str(column) for column in load(weather(), ["town", "heat"], 4, 8).compute().columns]
    assert columns == ["town", "heat"], f"Asked for were town and heat; the columns are {columns}."


@test_case(
    name="a plan",
    success_message="No data is read while load runs.",
    failure_message="The call should read the footers only; the data is for later.",
)
def test_plan(load):
    folder = weather()
    for file in Path(folder).iterdir():  # data begins at byte 4; the footer stands at the end
        content = file.read_bytes()
        file.write_bytes(content[:4] + b"\xff" * 96 + content[100:])
    try:
        load(folder, ["heat"], 4, 8)
    except Exception:
        raise AssertionError("Data was read while load was called.") from None


@test_case(
    name="no rows",
    success_message="A range without days gives no rows.",
    failure_message="A range that ends before it begins should give no rows.",
)
def test_no_rows(load):
    number = len(load(weather(), ["heat"], 8, 4))
    assert number == 0, f"The result has {number} rows."
