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
    success_message="The two heaviest animals of each kind are right.",
    failure_message="For nine animals in three partitions, the two heaviest of each kind are "
    "wrong. Work them out by hand, then look at compute().",
)
def test_values(top_k):
    result = top_k(animals(), "kind", "kilos", 2)
    kind = type(result).__name__
    assert isinstance(result, dd.DataFrame), f"top_k returned a {kind}, not a Dask DataFrame."
    columns = [str(column) for column in result.columns]
    assert columns == ["kind", "kilos"], f"The columns of the result are {columns}."
    rows = list(result.compute(scheduler="sync").itertuples(index=False, name=None))
    number = len(rows)
    assert number == 6, f"Two animals of each of three kinds are six rows; the result has {number}."
    cats = sorted(kilos for kind, kilos in rows if kind == "cat")
    assert cats == [5.0, 6.0], f"The two heaviest cats should weigh 5 and 6 kilos, not {cats}."
    assert sum(kilos for _, kilos in rows) == 85.0, "The dogs or the owls are wrong."


@test_case(
    name="a plan",
    success_message="The call computes nothing.",
    failure_message="The call of top_k should only build a plan.",
)
def test_plan(top_k):
    computed = []
    with Callback(start=lambda graph: computed.append(1)):
        top_k(animals(), "kind", "kilos", 2)
    number = len(computed)
    assert number == 0, f"{number} computations ran while top_k was called."


@test_case(
    name="dtypes",
    success_message="The computed rows have the dtypes that the result announces.",
    failure_message="The result announces other dtypes than the computed rows have: "
    "compare result.dtypes and result.compute().dtypes.",
)
def test_dtypes(top_k):
    result = top_k(animals(), "kind", "kilos", 2)
    announced = {str(column): str(dtype) for column, dtype in result.dtypes.items()}
    computed = result.compute(scheduler="sync").dtypes
    found = {str(column): str(dtype) for column, dtype in computed.items()}
    assert announced == found, f"Announced were {announced}, computed {found}."


@test_case(
    name="errors",
    success_message="k = 0 raises ValueError.",
    failure_message="With k = 0 the call itself should raise ValueError.",
)
def test_errors(top_k):
    try:
        top_k(animals(), "kind", "kilos", 0)
    except ValueError:
        return
    raise AssertionError("The call with k = 0 raised no ValueError.")
