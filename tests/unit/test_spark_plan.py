"""Plans and inputs on the judge's side: what a sandbox claims is a tree, or it is refused."""

from __future__ import annotations

from typing import Any

import pytest

from shardwork.judge.faults import GraderFault, InputsFailed, StudentFault
from shardwork.judge.observed import typed
from shardwork.judge.spark import Plan, Spark
from shardwork.judge.spark.fixture import divide

pytestmark = pytest.mark.unit


def a_node(number: int, parent: int | None, **fields: Any) -> dict[str, Any]:
    return {
        "number": number, "parent": parent, "depth": 0, "kind": "Project", "name": "Project",
        "text": "", "reused": False, "cached": False, "subquery": False, "metrics": {},
    } | fields  # fmt: skip


def a_plan(*nodes: dict[str, Any]) -> Plan:
    return typed({"adaptive": False, "nodes": list(nodes), "optimised": []}, Plan)


def test_what_lies_below_a_node_is_found_through_its_parents() -> None:
    plan = a_plan(a_node(0, None), a_node(1, 0), a_node(2, 1), a_node(3, 0))
    assert [[n.number for n in plan.below(node)] for node in plan.nodes] == [[1, 2, 3], [2], [], []]


def test_reused_nodes_are_left_out_of_the_lists() -> None:
    join = {"type": "Inner", "build_side": None}
    plan = a_plan(a_node(0, None), a_node(1, 0, join=join), a_node(2, 0, join=join, reused=True))
    assert [node.number for node in plan.joins] == [1]


@pytest.mark.parametrize(
    "nodes",
    [
        [a_node(0, None), a_node(1, 1)],
        [a_node(0, None), a_node(1, 7)],
        [a_node(0, None), a_node(1, -1)],
        [a_node(0, None), a_node(1, None)],
        [a_node(1, None)],
        [a_node(0, 0)],
    ],
)
def test_nodes_that_are_no_tree_are_the_submissions_fault(nodes: list[dict[str, Any]]) -> None:
    with pytest.raises(StudentFault):
        a_plan(*nodes)


def test_rows_are_divided_in_order() -> None:
    rows = [(n,) for n in range(5)]
    assert divide(rows, 3) == [[(0,), (1,)], [(2,), (3,)], [(4,)]]
    assert divide(rows, [0, 4, 1]) == [[], [(0,), (1,), (2,), (3,)], [(4,)]]
    assert divide([], 2) == [[], []]


@pytest.mark.parametrize("partitions", [0, -1, [2, 2]])
def test_partitions_that_do_not_fit_are_a_fault_of_the_grader(partitions: Any) -> None:
    with pytest.raises(GraderFault):
        divide([(1,)] * 5, partitions)


class FakeDialogue:
    """Remembers the settings that were set, in order."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.gone = False

    def make(self, question: str, *args: object) -> object:
        if self.gone:
            raise InputsFailed("the sandbox is closed", after_call=True)
        self.asked.append((question, *args))
        return "before"


def test_a_setting_is_restored_also_when_the_block_fails() -> None:
    dialogue: Any = FakeDialogue()
    with pytest.raises(AssertionError), Spark(dialogue).conf("a.b", "1"):
        raise AssertionError
    assert dialogue.asked == [("spark.set_conf", "a.b", "1"), ("spark.set_conf", "a.b", "before")]


def test_what_went_wrong_in_the_block_is_not_hidden_by_a_sandbox_that_is_gone() -> None:
    dialogue: Any = FakeDialogue()
    with pytest.raises(ZeroDivisionError), Spark(dialogue).conf("a.b", "1"):
        dialogue.gone = True
        raise ZeroDivisionError
