"""The errors that reach a person, and the exit codes of the command line.

An error says what happened, to which thing, with the value found, then the next step.
It is raised where the fact is known and caught once, in `shardwork.command`.
"""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """What a command's exit status means."""

    DONE = 0
    FINDINGS = 1  # the command worked and found something, or a submission nobody could judge
    USAGE = 2
    INTERNAL = 3
    ENVIRONMENT = 4  # the machine lacks something: Java, bubblewrap, disk space
    NOTHING_MATCHED = 5
    INTERRUPTED = 130


class ShardworkError(Exception):
    """An error with a message written for the person at the command line."""

    exit_code = ExitCode.INTERNAL


class CourseError(ShardworkError):
    """The course itself is wrong: its configuration, a source notebook, a grader, a catalogue."""

    exit_code = ExitCode.USAGE


class MachineError(ShardworkError):
    """The machine lacks something that the course needs."""

    exit_code = ExitCode.ENVIRONMENT


class NothingMatched(ShardworkError):
    """The names given on the command line match nothing."""

    exit_code = ExitCode.NOTHING_MATCHED
