"""Public check of `train`: the result on one rank, then two ranks and their checkpoint."""

import tempfile
from pathlib import Path

from otter.test_files import test_case

OK_FORMAT = False

name = "train"
points = None


def run(train, world):
    """Train a line on `world` ranks; return what each rank has in the end, and the checkpoint."""
    assert callable(train), "まだtrainがありません。先に、それを定義するセルを実行してください。"

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
            raise AssertionError(f'trainが、全ランクでは終わりませんでした。{error}') from None
        assert found[0][0] != "not written", (
            "trainはまだ書かれていません。セルの最後の2行を置き換えてください。"
        )
        saved = None
        if Path(path).is_file():
            import torch

            saved = torch.load(path, weights_only=True)
    return [result for result, _, _ in found], [weights for _, weights, _ in found], saved


@test_case(
    name="one_rank",
    success_message="1つのランクで、結果の形は正しく、損失も下がります。",
    failure_message=(
        "このチェックは、1つのランクで、入力が2つの直線を学習します。24行、2エポック、1マイクロバッチに2行、1ステップに2マイクロバッチです。"
    ),
)
def test_one_rank(train):
    (result,), _, _ = run(train, 1)
    found = type(result).__name__
    assert isinstance(result, dict), f'trainは辞書を返さなければなりませんが、{found}が返りました。'
    assert set(result) == {"steps", "losses"}, f'辞書のキーは{sorted(result)}です。'
    assert result["steps"] == 12, f"12ステップ行うはずですが、辞書には{result['steps']}とあります。"
    losses = result["losses"]
    assert isinstance(losses, list) and len(losses) == 2, "2エポックなら、損失は2つです。"
    assert losses[1] < losses[0], "損失が下がっていません。"


@test_case(
    name="two_ranks",
    success_message=(
        "2つのランクは最後に同じ重みを持ち、元のモデルがチェックポイントを読み込めます。ここで試していないこと：どのランクがどの行を受け取るか、勾配が何回送られるか、ステップが1つのプロセスと同じかどうか。"
    ),
    failure_message=(
        "このチェックは、初期の重みが異なる2つのランクで同じ直線を学習し、終了後の重みとチェックポイントを調べます。"
    ),
)
def test_two_ranks(train):
    results, (first, second), saved = run(train, 2)
    steps = [result["steps"] for result in results]
    assert steps == [6, 6], f'各ランクは6ステップ行うはずですが、辞書には{steps}とあります。'
    one, other = ([w for weights in rank for w in weights] for rank in (first, second))
    apart = max(abs(a - b) for a, b in zip(one, other, strict=True))
    assert apart < 1e-12, "2つのランクの最後の重みが異なります。"
    assert saved is not None, "cfg.checkpointにファイルがありません。"
    assert isinstance(saved, dict), "チェックポイントがstate dictではありません。"
    assert sorted(saved) == ["bias", "weight"], (
        f'元の直線の名前はbiasとweightですが、チェックポイントには{sorted(saved)}があります。'
    )
    values = saved["weight"].reshape(-1).tolist()
    assert values == first[0], "チェックポイントの内容が、最後の重みではありません。"
