"""Public check of `topk_step`: a first step of one worker, and two impossible calls."""

import torch
from otter.test_files import test_case

OK_FORMAT = False

name = "topk_step"
points = None

GRADIENT = [0.5, -4.0, 0.25, 3.0, -1.0, 2.0, -0.125]


def first_step(function, k):
    """Call the function with a residual of zeros; look at the form of what it returns."""
    assert callable(function), "There is no topk_step yet. Run the cell that defines it first."
    grad = torch.tensor(GRADIENT, dtype=torch.float64)
    try:
        result = function(grad.clone(), torch.zeros_like(grad), k)
    except NotImplementedError:
        raise AssertionError(
            "topk_step is not written yet: replace the last two lines of its cell."
        ) from None
    assert isinstance(result, tuple), f"Return a tuple; found: {type(result).__name__}."
    assert len(result) == 3, f"The tuple should have three parts; it has {len(result)}."
    types = [torch.float64, torch.int64, torch.float64]
    for part, label, dtype in zip(result, ["values", "idx", "residual"], types, strict=True):
        assert isinstance(part, torch.Tensor), f"{label} is no tensor: {type(part).__name__}."
        assert part.dtype == dtype, f"{label} has the type {part.dtype}; it should be {dtype}."
    assert result[2].shape == grad.shape, "The residual should have the shape of grad."
    return grad, *result


@test_case(
    name="form",
    success_message="The message and the residual have the right shapes and types.",
    failure_message="This check looks at the types and shapes of what your function returns.",
)
def test_form(topk_step):
    _, values, idx, _ = first_step(topk_step, 2)
    found = (tuple(values.shape), tuple(idx.shape))
    assert found == ((2,), (2,)), f"For k = 2, values and idx have the shapes {found}."
    assert len(set(idx.tolist())) == 2, "Some index stands in idx twice."


@test_case(
    name="first_step",
    success_message=(
        "A first step sends the right entries and keeps the others. Not tried here: a residual "
        "that is not zero, and more than one worker."
    ),
    failure_message=(
        "This check makes a first step, with nothing owed yet. Read again: Large means far from "
        "zero, and: Nothing is lost."
    ),
)
def test_first_step(topk_step):
    for k in (1, 3):
        grad, values, idx, residual = first_step(topk_step, k)
        sent = torch.zeros_like(grad).index_add_(0, idx, values)
        smallest = grad[idx].abs().min()
        untouched = [i for i in range(len(grad)) if i not in idx.tolist()]
        assert (grad[untouched].abs() <= smallest).all(), (
            "An entry that stays behind is further from zero than one that is sent."
        )
        assert torch.equal(sent[idx], grad[idx]), (
            "What is sent for an index is not the entry of the gradient at that index."
        )
        assert torch.allclose(sent + residual, grad, rtol=1e-12), (
            "What is sent and what stays behind do not add up to the gradient."
        )


@test_case(
    name="errors",
    success_message="Impossible calls are refused.",
    failure_message="With an impossible k, your function should raise ValueError.",
)
def test_errors(topk_step):
    for k in (0, len(GRADIENT) + 1):
        try:
            first_step(topk_step, k)
        except ValueError:
            continue
        raise AssertionError(f"k = {k} did not raise ValueError.")
