"""The session and its context, as arguments for a student's function, and its settings."""

from __future__ import annotations

from typing import Any

from shardwork import lab
from shardwork.probes.server import question


@question("spark.session")
def session() -> Any:
    """Return the session of the notebook."""
    return lab.spark()


@question("spark.context")
def context() -> Any:
    """Return the SparkContext of the notebook's session."""
    return lab.spark().sparkContext


@question("spark.set_conf")
def set_conf(name: str, value: str | None) -> str | None:
    """Set a setting of the session (None: leave it to its default).

    Returns what was set before, or None where it was left to its default.
    """
    conf = lab.spark().conf
    before = conf.get(name, None)
    if value is None:
        conf.unset(name)
    else:
        conf.set(name, value)
    return None if before is None else str(before)


@question("spark.setting")
def setting(name: str) -> str | None:
    """Return the value of a setting of the session, its default if it was not set."""
    value = lab.spark().conf.get(name, None)
    return None if value is None else str(value)
