"""`torch.bucket`: layers that mark the backward pass, and what the judge sees of a step.

The facts of torch 2.13 that the grader of `BucketDDP` relies on are pinned here: where hooks of
parameters are called between the marks of layers, and how often.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from shardwork.grading import StudentFault
from shardwork.judge.dialogue import Dialogue
from shardwork.judge.student import Student
from shardwork.judge.torch.bucket import Mark, Marks, WatchedComm, passes
from shardwork.probes.torch.bucket import Stack, build, gradients
from shardwork.sandbox import isolation
from shardwork.wire import Tensor
from tests import sandboxes

WHY_NOT = isolation.problem()
pytestmark = pytest.mark.functional
in_a_sandbox = pytest.mark.skipif(WHY_NOT is not None, reason=f"bubblewrap: {WHY_NOT}")


def order(hook: str, spec: dict[str, Any], rows: torch.Tensor) -> list[str]:
    """Return marks and hooks of one backward pass in the order in which they are called."""
    seen: list[str] = []

    def mark(layer: int) -> float:
        seen.append(f"-> {layer}")
        return 1.0

    stack = Stack(**spec, mark=mark)
    kept = []
    for name, parameter in stack.named_parameters():
        short = name.removeprefix("layers.").replace("weight", "w").replace("bias", "b")
        if hook == "accumulated":
            parameter.register_post_accumulate_grad_hook(lambda _, n=short: seen.append(n))
        elif hook == "tensor":
            parameter.register_hook(lambda _, n=short: seen.append(n))
        else:
            node = parameter.expand_as(parameter).grad_fn.next_functions[0][0]
            node.register_hook(lambda *_, n=short: seen.append(n))
            kept.append(node)  # the graph alone does not keep the node and its hook
    stack(rows).sum().backward()
    return seen


def positive(columns: int) -> torch.Tensor:
    return torch.rand(5, columns, dtype=torch.float64) + 0.1


HOOKS = ["accumulated", "tensor", "node"]


@pytest.mark.parametrize("hook", HOOKS)
def test_gradients_of_a_layer_are_there_before_the_pass_comes_to_the_one_in_front(
    hook: str,
) -> None:
    seen = order(hook, {"widths": [3, 4, 5, 2]}, positive(3))
    assert seen == ["-> 2", "2.b", "2.w", "-> 1", "1.b", "1.w", "-> 0", "0.b", "0.w"]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_tied_weight_comes_once_and_with_the_first_layer(hook: str) -> None:
    seen = order(hook, {"widths": [4, 4, 5, 4, 4], "tied": [[0, 3]]}, positive(4))
    assert seen.count("0.w") == 1
    assert seen.index("-> 0") < seen.index("0.w")
    assert "3.w" not in seen


@pytest.mark.parametrize("hook", HOOKS)
def test_a_layer_that_is_left_out_calls_no_hook(hook: str) -> None:
    spec = {"widths": [4, 4, 4, 4], "gates": [(1, 0)]}
    assert order(hook, spec, positive(4)).count("1.w") == 1
    without = order(hook, spec, -positive(4))
    assert [entry for entry in without if entry in ("-> 1", "1.w", "1.b")] == []


def test_a_frozen_layer_has_no_gradient_and_refuses_hooks() -> None:
    stack = Stack([3, 4, 2], frozen=[1])
    stack(positive(3)).sum().backward()
    assert [tuple(g.shape) for g in gradients(stack)] == [(4, 3), (4,)]
    with pytest.raises(RuntimeError, match="doesn't require gradient"):
        stack.layers[1].weight.register_post_accumulate_grad_hook(lambda _: None)


def test_a_missing_gradient_is_an_empty_tensor() -> None:
    stack = Stack([4, 4, 4], gates=[(1, 0)])
    stack(-positive(4)).sum().backward()
    assert [g.numel() for g in gradients(stack)] == [16, 4, 0, 0]


CELL = """
import torch

class Wrapper(torch.nn.Module):
    def __init__(self, module, comm, cap_bytes):
        super().__init__()
        self.module, self.comm, self.cap = module, comm, cap_bytes
        for p in module.parameters():
            comm.broadcast(p.detach(), 0)
        last, first = list(module.parameters())[-1], list(module.parameters())[0]
        last.register_post_accumulate_grad_hook(self.begin)
        first.register_post_accumulate_grad_hook(lambda p: comm.all_reduce(p.grad))

    def begin(self, p):
        self.work = self.comm.all_reduce(p.grad, async_op=True)

    def forward(self, rows):
        return self.module(rows)

    def finish(self):
        self.work.wait()

class Gathers(Wrapper):
    def finish(self):
        self.comm.all_gather(torch.zeros(3))
"""


@pytest.fixture(scope="module")
def student() -> Iterator[Student]:
    session = sandboxes.session(sandboxes.zygote(), {"code": CELL}, cell_s=60.0, call_s=30.0)
    try:
        session.open()
        assert session.outcomes["code"].status == "ran", session.outcomes["code"]
        yield Student(Dialogue(session, 30.0))
    finally:
        session.close()
        sandboxes.end_zygotes()


SPEC = {"widths": [3, 4, 2]}


def arguments(comm: WatchedComm) -> list[list[object]]:
    rng = np.random.default_rng(1)
    marks = Marks(comm.events)
    per_rank: list[list[object]] = []
    for _ in range(2):
        weights = [Tensor(rng.normal(size=s)) for s in ((4, 3), (4,), (2, 4), (2,))]
        batches = [[Tensor(rng.normal(size=(5, n))) for n in (3, 2)] for _ in range(2)]
        per_rank.append([comm, marks, SPEC, weights, batches, 100, 0.1])
    return per_rank


def train(student: Student, name: str, comm: WatchedComm) -> list[list[list[np.ndarray[Any, Any]]]]:
    return student.ranks(
        name, arguments(comm), as_=list[list[np.ndarray]], driver="torch.bucket.train"
    )


@in_a_sandbox
def test_the_judge_sees_collectives_between_the_marks(student: Student) -> None:
    comm = WatchedComm()
    train(student, "Wrapper", comm)
    for rank in range(2):
        one, two = passes(comm.events, rank)
        assert one.is_done and two.is_done
        assert one.layers == [1, 0]
        assert [e.elements for e in one.begun] == [2, 12]
        assert [e.elements for e in one.before(0)] == [2]
        assert one.before("backward") == []
        last, first = (e.number for e in one.begun)
        assert one.waited() == {last}
        assert (rank, first) in comm.blocking and (rank, last) not in comm.blocking
    begun = [e for e in passes(comm.events, 0)[0].entries if not isinstance(e, Mark)]
    assert [e.op for e in begun] == ["all_reduce", "all_reduce", "wait"]


@in_a_sandbox
def test_what_is_returned_is_the_start_and_the_gradients_of_each_step(student: Student) -> None:
    comm = WatchedComm()
    claims = train(student, "Wrapper", comm)
    weights, batches = arguments(comm)[0][3:5]
    start = [w.array for w in weights]  # type: ignore[attr-defined]
    for claim in claims:
        assert len(claim) == 3
        assert all(np.array_equal(a, b) for a, b in zip(claim[0], start, strict=True))
    stack = build(SPEC, start)
    rows, targets = (torch.from_numpy(part.array) for part in batches[0])  # type: ignore[index]
    torch.nn.functional.mse_loss(stack(rows), targets).backward()
    alone = [p.grad.numpy() for p in stack.parameters()]
    assert np.allclose(claims[0][1][1], alone[1])  # not reduced by this wrapper
    assert not np.allclose(claims[0][1][3], alone[3])


@in_a_sandbox
def test_other_collectives_are_refused(student: Student) -> None:
    with pytest.raises(StudentFault):
        train(student, "Gathers", WatchedComm())


def test_only_words_and_numbers_of_ranks_are_marked() -> None:
    events: list[object] = []
    marks = Marks(events)
    answers: list[object] = []
    marks.invoked([3], 1, answers.append)
    marks.invoked(["finish"], 0, answers.append)
    assert events == [Mark(1, 3), Mark(0, "finish")]
    assert answers == [1.0, 1.0]
    for args, rank in (([3], None), ([True], 0), ([1, 2], 0)):
        with pytest.raises(Exception, match="a number or a word"):
            marks.invoked(args, rank, answers.append)


def test_what_a_mark_answers_goes_into_the_gradients_in_front_of_it() -> None:
    asked: list[object] = []
    marks = Marks([], lambda rank, step, layer: 10.0 * rank + step + layer / 10)
    for word in ("forward", 2, "forward", 1):
        marks.invoked([word], 3, asked.append)
    assert asked == [1.0, 30.2, 1.0, 31.1]
    torch.manual_seed(1)
    plain = Stack([3, 4, 2])
    scaled = build({"widths": [3, 4, 2]}, list(plain.parameters()), lambda layer: 2.0 + layer)
    rows = positive(3)
    for stack in (plain, scaled):
        stack(rows).sum().backward()
    first, last = (
        (b.grad / a.grad).mean().item()
        for a, b in zip(list(plain.parameters())[::2], list(scaled.parameters())[::2], strict=True)
    )
    assert (first, last) == pytest.approx((6.0, 3.0))
