"""The ways in which a check ends early, sorted by whose fault it is."""

from __future__ import annotations

from shardwork.record import Cause, Evidence


class StudentFault(Exception):
    """The submission did not do what a check needs; the check has failed.

    `message` is a sentence (a msgid) whose `{placeholders}` are filled from `evidence`; it holds no
    hidden input. `detail` is for the TA.
    """

    def __init__(
        self,
        cause: Cause,
        message: str,
        detail: str = "",
        evidence: Evidence | None = None,
        types: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message
        self.detail = detail
        self.evidence = evidence or {}
        self.types = types


class SandboxLost(StudentFault):
    """The submission hung or ended its own process: the sandbox must be started again."""


class InputsFailed(Exception):
    """A probe could not make the inputs of a check.

    What a submission did earlier may have broken the sandbox: the check is tried once more in a
    fresh one. If that fails too, it is the submission's doing if a call of that same check came
    before (`after_call`), and an error of ours if not.
    """

    def __init__(self, detail: str, *, after_call: bool) -> None:
        super().__init__(detail)
        self.after_call = after_call


class GraderFault(Exception):
    """The grader itself is wrong: oracles that agree, an unknown code, a bad declaration."""
