import dask
import dask.dataframe as dd
import pandas as pd


def top_k(ddf, key, col, k):
    if k < 1:
        raise ValueError("at least one")

    def pick(frame):
        frame = frame[[key, col]].dropna()
        groups = [group.nlargest(k, col) for _, group in frame.groupby(key)]
        return pd.concat(groups) if groups else frame

    local = [dask.delayed(pick)(part) for part in ddf.to_delayed()]
    whole = dask.delayed(lambda parts: pick(pd.concat(parts)))(local)
    return dd.from_delayed([whole], meta=ddf._meta[[key, col]])
