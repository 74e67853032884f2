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
    success_message="The ten visits are there, with the hour as index.",
    failure_message="indexed should return all ten visits, with the hour as index.",
)
def test_index(indexed):
    result = indexed(visits(), "hour")
    kind = type(result).__name__
    assert isinstance(result, dd.DataFrame), f"indexed returned a {kind}, not a Dask DataFrame."
    hours = [int(hour) for hour in result.compute().index]
    assert sorted(hours) == list(range(1, 11)), f"The index of the result is {hours}."


@test_case(
    name="divisions",
    success_message="Dask knows the divisions of the ten visits, and they are true.",
    failure_message="The divisions of the result are not known, or not true.",
)
def test_divisions(indexed):
    result = indexed(visits(), "hour")
    assert result.known_divisions, "Dask does not know the divisions of the result."
    found = [len(result.loc[hour:hour]) for hour in range(1, 11)]
    missing = found.count(0)
    assert missing == 0, f"Of ten hours, .loc does not find {missing}."


@test_case(
    name="few computations",
    success_message="At most one computation runs until the divisions are told.",
    failure_message="At most one computation may run until the divisions are told.",
)
def test_few_computations(indexed):
    computed = []
    frame = visits().assign(guests=1)
    with Callback(start=lambda graph: computed.append(1)):
        result = indexed(frame, "hour")
        assert result.npartitions, "The result has no partitions."
    number = len(computed)
    assert number <= 1, f"{number} computations ran."


@test_case(
    name="join",
    success_message="The four pairs are joined.",
    failure_message="join should give one row for each of the index values 4 to 7.",
)
def test_join(join):
    result = join(*sides()).compute()
    index = sorted(int(value) for value in result.index)
    assert index == [4, 5, 6, 7], f"The index of the joined rows is {index}."
    columns = [str(column) for column in result.columns]
    assert columns == ["left", "right"], f"The columns of the joined rows are {columns}."


@test_case(
    name="join knows its divisions",
    success_message="Dask knows the divisions of the joined rows.",
    failure_message="Both sides are in order; so should the joined rows be.",
)
def test_join_divisions(join):
    assert join(*sides()).known_divisions, "Dask does not know the divisions of the joined rows."
