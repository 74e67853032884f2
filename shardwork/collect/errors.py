"""What ends a collection, and what only sets one submission aside."""

from __future__ import annotations

from shardwork.errors import ExitCode, ShardworkError


class CollectError(ShardworkError):
    """The download or the roster cannot be used at all; nothing was written."""

    exit_code = ExitCode.USAGE


class SetAside(Exception):
    """One submission that is not collected. The text says why, and what to do."""
