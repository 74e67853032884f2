"""Public check of `ShardedOptimizer`: two steps of Adam, on one rank and on two."""

from otter.test_files import test_case

OK_FORMAT = False

name = "ShardedOptimizer"
points = None


def steps(ShardedOptimizer, world):
    """Make two steps; return, by rank, the largest difference to plain Adam after each."""
    assert isinstance(ShardedOptimizer, type), (
        "まだShardedOptimizerというクラスがありません。先に、それを定義するセルを実行してください。"
    )

    def on_rank(rank, world):
        import torch

        def parameters():
            generator = torch.Generator().manual_seed(4)
            shapes = [(3, 4), (4,), (4, 2)]
            return [
                torch.nn.Parameter(torch.randn(s, generator=generator, dtype=torch.float64))
                for s in shapes
            ]

        mine, plain = parameters(), parameters()
        expected = torch.optim.Adam(plain, lr=0.1)
        try:
            optimizer = ShardedOptimizer(mine, torch.optim.Adam, lr=0.1)
        except NotImplementedError:
            return "not written"
        apart = []
        for step in range(2):
            for p, q in zip(mine, plain, strict=True):
                p.grad = torch.cos(p.detach() + step)
                q.grad = torch.cos(q.detach() + step)
            expected.step()
            optimizer.step()
            optimizer.zero_grad()
            with torch.no_grad():
                differences = [(p - q).abs().max() for p, q in zip(mine, plain, strict=True)]
            apart.append(max(differences).item())
        return apart

    from shardwork import lab

    try:
        found = lab.run_ranks(on_rank, world, timeout_s=30)
    except lab.RankError as error:
        raise AssertionError(f'更新が、全ランクでは終わりませんでした。{error}') from None
    assert "not written" not in found, (
        "ShardedOptimizerはまだ書かれていません。各メソッドの最後の2行を置き換えてください。"
    )
    return found


@test_case(
    name="one_rank",
    success_message="1つのランクでは、パラメータは元のAdamと同じです。",
    failure_message="このチェックは、1つのランクで、3つのパラメータをAdamで2ステップ更新します。",
)
def test_one_rank(ShardedOptimizer):
    (apart,) = steps(ShardedOptimizer, 1)
    assert max(apart) < 1e-12, "パラメータが元のAdamと同じではありません。"


@test_case(
    name="two_ranks",
    success_message=(
        "2つのランクで、どちらも各ステップの後に元のAdamと同じパラメータを持っています。ここで試していないこと：だれがどの状態を持つか、何が送られるか、パラメータグループ、パラメータより多いランク。"
    ),
    failure_message="このチェックは、同じ2ステップを2つのランクで行います。",
)
def test_two_ranks(ShardedOptimizer):
    for rank, apart in enumerate(steps(ShardedOptimizer, 2)):
        assert max(apart) < 1e-12, f'ランク{rank}のパラメータが元のAdamと同じではありません。'
