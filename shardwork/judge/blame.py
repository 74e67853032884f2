"""What a grader says with a failing assertion: the misconception, or a sentence, with evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

import msgspec

from shardwork.judge.faults import GraderFault
from shardwork.record import Evidence

T = TypeVar("T")


class Blame(msgspec.Struct, frozen=True):
    """The explanation of a failed assertion; see `blame`."""

    code: str | None
    because: str
    evidence: Evidence


def blame(
    code: str | None = None, /, *, because: str = "", **evidence: int | float | str | bool | None
) -> Blame:
    """Explain a failing assertion: `assert jobs == 0, blame("COLLECTS", jobs=jobs)`.

    `code` names a misconception of the exercise in `misconceptions.toml`. `because` is a sentence
    for the student whose `{placeholders}` are filled from `evidence`; it must give no hidden input
    or expected value away. `evidence` goes to the record, for the TA.
    """
    return Blame(code, because, dict(evidence))


class OracleBank(Generic[T]):
    """The right value on one input, and what each known wrong algorithm gives on the same input.

    `same(a, b)` says whether two values are equal. Raises GraderFault if any two of the oracles are
    equal on this input: nobody may be judged with an input that cannot tell them apart.
    """

    def __init__(self, right: T, wrong: Mapping[str, T], same: Callable[[T, T], bool]) -> None:
        self._right = right
        self._wrong = dict(wrong)
        self._same = same
        known = [("the right value", right), *wrong.items()]
        for i, (name, value) in enumerate(known):
            for other, other_value in known[:i]:
                if same(value, other_value):
                    raise GraderFault(f"on this input the oracles of {other} and {name} agree")

    def accepts(self, value: T) -> bool:
        """Whether `value` is the right one."""
        return self._same(value, self._right)

    def explain(self, value: T, **evidence: int | float | str | bool | None) -> Blame:
        """Name the wrong algorithm whose value this is, or none."""
        code = next((code for code, wrong in self._wrong.items() if self._same(value, wrong)), None)
        return Blame(code, "", dict(evidence))
