"""Public check of `train`: the result on one rank, then two ranks and their checkpoint."""

import tempfile
from pathlib import Path

from otter.test_files import test_case

OK_FORMAT = False

name = "train"
points = None


def run(train, world):
    """Train a line on `world` ranks; return what each rank has in the end, and the checkpoint."""
    assert callable(train), "There is no train yet. Run the cell that defines it first."

    def on_rank(rank, world, path):
        from types import SimpleNamespace

        import torch

        generator = torch.Generator().manual_seed(5)
        x = torch.randn(24, 2, generator=generator, dtype=torch.float64)
        y = x @ torch.tensor([[2.0], [-1.0]], dtype=torch.float64) + 0.5
        torch.manual_seed(rank)
        model = torch.nn.Linear(2, 1).double()
        cfg = SimpleNamespace(
            model=model,
            dataset=torch.utils.data.TensorDataset(x, y),
            loss=torch.nn.MSELoss(),
            make_optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1),
            epochs=2,
            batch_size=2,
            accumulate=2,
            seed=3,
            checkpoint=path,
        )
        try:
            result = train(rank, world, cfg)
        except NotImplementedError:
            return "not written", [], ""
        return result, [p.detach().reshape(-1).tolist() for p in model.parameters()], ""

    from shardwork import lab

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "line.pt")
        try:
            found = lab.run_ranks(on_rank, world, path, timeout_s=30)
        except lab.RankError as error:
            raise AssertionError(f"train did not finish on all ranks. {error}") from None
        assert found[0][0] != "not written", (
            "train is not written yet: replace the last two lines of its cell."
        )
        saved = None
        if Path(path).is_file():
            import torch

            saved = torch.load(path, weights_only=True)
    return [result for result, _, _ in found], [weights for _, weights, _ in found], saved


@test_case(
    name="one_rank",
    success_message="On one rank the result has the right form, and the loss falls.",
    failure_message=(
        "This check trains a line with two inputs on one rank: 24 rows, 2 epochs, 2 rows per "
        "micro-batch, 2 micro-batches per step."
    ),
)
def test_one_rank(train):
    (result,), _, _ = run(train, 1)
    found = type(result).__name__
    assert isinstance(result, dict), f"train must return a dict; found: {found}."
    assert set(result) == {"steps", "losses"}, f"The keys of the dict are {sorted(result)}."
    assert result["steps"] == 12, f"12 steps are to be made; your dict tells {result['steps']}."
    losses = result["losses"]
    assert isinstance(losses, list) and len(losses) == 2, "For 2 epochs there are 2 losses."
    assert losses[1] < losses[0], "The loss does not fall."


@test_case(
    name="two_ranks",
    success_message=(
        "Two ranks end with the same weights, and a plain model can load the checkpoint. Not tried "
        "here: which rows a rank gets, how often gradients are sent, and whether the steps are "
        "those of one process."
    ),
    failure_message=(
        "This check trains the same line on two ranks that begin with different weights, and looks "
        "at their weights afterwards and at the checkpoint."
    ),
)
def test_two_ranks(train):
    results, (first, second), saved = run(train, 2)
    steps = [result["steps"] for result in results]
    assert steps == [6, 6], f"Each rank makes 6 steps; your dicts tell {steps}."
    one, other = ([w for weights in rank for w in weights] for rank in (first, second))
    apart = max(abs(a - b) for a, b in zip(one, other, strict=True))
    assert apart < 1e-12, "The two ranks end with different weights."
    assert saved is not None, "There is no file at cfg.checkpoint."
    assert isinstance(saved, dict), "The checkpoint does not hold a state dict."
    assert sorted(saved) == ["bias", "weight"], (
        f"A plain line has the names bias and weight; the checkpoint has {sorted(saved)}."
    )
    values = saved["weight"].reshape(-1).tolist()
    assert values == first[0], "The checkpoint does not hold the final weights."
