"""Public check of `amp_step` and `Scaler`: one rank, one step, and two overflows of a scaler."""

import torch
from otter.test_files import test_case

OK_FORMAT = False

name = "amp_step"
points = None


class Alone:
    """A network of one rank: a sum over all ranks is what this rank gave."""

    rank = 0
    size = 1

    def all_reduce(self, tensor):
        assert isinstance(tensor, torch.Tensor), "comm.all_reduce takes a tensor."


def loss(weights):
    """Half the squared distance of all weights from 2, computed in half precision."""
    for weight in weights:
        found = getattr(weight, "dtype", type(weight).__name__)
        if found != torch.float16:
            raise TypeError(f"loss takes float16 tensors; found: {found}.")
    return sum(0.5 * ((weight - 2.0).float() ** 2).sum() for weight in weights)


def written(function, *args):
    try:
        return function(*args)
    except NotImplementedError:
        raise AssertionError(
            "Some part is not written yet: replace the two lines in each of its three places."
        ) from None


@test_case(
    name="scaler",
    success_message="A scaler begins with its scale, and halves it with each overflow.",
    failure_message="This check makes a Scaler, and lets it overflow twice.",
)
def test_scaler(Scaler):
    scaler = written(Scaler, 64.0, 3)
    assert scaler.scale == 64.0, f"Scaler(64.0, 3) begins with the scale {scaler.scale}."
    for expected in (32.0, 16.0):
        written(scaler.update, True)
        assert scaler.scale == expected, f"An overflow has made the scale {scaler.scale}."


@test_case(
    name="step",
    success_message=(
        "On one rank, a step without clipping and without overflow is right. Not tried here: small "
        "gradients, small updates, clipping, overflow, and more than one rank."
    ),
    failure_message=(
        "This check makes one step on one rank. Read again: Gradients that are too small, and: "
        "Unscale before you look."
    ),
)
def test_step(Scaler, amp_step):
    start = [torch.tensor([0.5, -1.25, 3.0]), torch.tensor([[1.0], [0.25]])]
    master = [weight.clone() for weight in start]
    result = written(amp_step, master, loss, written(Scaler, 256.0, 10), 0.125, 1000.0, Alone())
    assert result is True, f"amp_step returned {result!r}; the step could be made."
    for before, after in zip(start, master, strict=True):
        assert after.dtype == torch.float32, f"A master weight has become {after.dtype}."
        assert after.shape == before.shape, "A master weight has changed its shape."
        moved = after.detach() - before
        ratio = (moved / (2.0 - before)).mean().item()
        assert abs(ratio / 0.125 - 1) < 0.01, (
            f"With lr = 0.125, the weights have moved by {ratio:.4g} times the negative gradient."
        )
