"""The settings under which Dask's graphs have the shape that the course speaks of.

Without a cluster, and with these settings, the same program gives the same graph on every machine.
A live client changes graphs: rechunking and shuffling become other layers.
"""

from __future__ import annotations

DASK_SETTINGS = {
    "scheduler": "sync",
    "array.rechunk.method": "tasks",
    "array.query-planning": False,
    "dataframe.shuffle.method": "tasks",
}
"""What `pin_dask` sets: collections are computed one task at a time, in the thread that asks;
rechunking and shuffling are made of tasks; arrays are graphs of layers, not expressions."""


def pin_dask() -> None:
    """Set `DASK_SETTINGS` in this process. The scheduler of a live client is left alone."""
    import dask.config

    settings = dict(DASK_SETTINGS)
    if dask.config.get("scheduler", None) == "dask.distributed":
        del settings["scheduler"]
    dask.config.set(settings)
