"""Public check of `train_hvd`: one rank against a plain loop, and two ranks against each other."""

import copy

import torch
from otter.test_files import test_case

from shardwork import lab

OK_FORMAT = False

name = "train_hvd"
points = None


def make_job(rank):
    generator = torch.Generator().manual_seed(rank)
    draw = {"generator": generator, "dtype": torch.float64}
    model = torch.nn.Linear(3, 2, dtype=torch.float64)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, **draw))
    return {
        "model": model,
        "X": torch.randn(10, 3, **draw),
        "y": torch.randn(10, 2, **draw),
        "X_val": torch.randn(3 + 4 * rank, 3, **draw),
        "y_val": torch.randn(3 + 4 * rank, 2, **draw),
        "batch": 4,
        "epochs": 2,
        "lr": 0.02,
        "momentum": 0.8,
        "warmup": 0,
        "resume": None,
    }


def in_a_rank(rank, world, function):
    cfg = make_job(rank)
    returned = function(cfg)
    return [parameter.detach().clone() for parameter in cfg["model"].parameters()], returned


def run(function, world):
    """Call the function on that many ranks; return parameters and loss of each."""
    assert callable(function), "train_hvdがまだありません。先に、それを定義するセルを実行してください。"
    problem = None
    try:
        results = lab.run_ranks(in_a_rank, world, function, timeout_s=30)
    except lab.RankError as error:
        problem = str(error).splitlines()[0]
        written = "NotImplementedError" not in problem
        assert written, "train_hvdがまだ書かれていません。セルの最後の2行を置き換えてください。"
    assert problem is None, f'ランクが最後まで実行されませんでした：{problem}'
    for _, returned in results:
        good = isinstance(returned, dict) and list(returned) == ["loss"]
        assert good, f'train_hvdは{{"loss": ...}}を返すはずですが、返されたのは{returned!r}でした。'
        found = type(returned["loss"]).__name__
        assert found == "float", f'lossはfloatのはずですが、{found}でした。'
    return [(parameters, returned["loss"]) for parameters, returned in results]


def plain_loop(job):
    """What one process does, without Horovod."""
    net, size = job["model"], job["batch"]
    sgd = torch.optim.SGD(net.parameters(), job["lr"], momentum=job["momentum"])
    for _ in range(job["epochs"]):
        for k in range(0, len(job["X"]), size):
            sgd.zero_grad()
            ((net(job["X"][k : k + size]) - job["y"][k : k + size]) ** 2).mean().backward()
            sgd.step()
    with torch.no_grad():
        return ((net(job["X_val"]) - job["y_val"]) ** 2).mean().item()


def distance(found, expected):
    """Norm of the difference, divided by the norm of what was expected."""
    found = torch.cat([tensor.detach().reshape(-1) for tensor in found])
    expected = torch.cat([tensor.detach().reshape(-1) for tensor in expected])
    return ((found - expected).norm() / expected.norm()).item()


@test_case(
    name="one rank",
    success_message="ランクが1つのとき、1つのプロセスのためのループと同じことをします。",
    failure_message="ランクが1つのとき、結果はtrain_aloneの結果と一致するはずです。",
)
def test_one_rank(train_hvd):
    ((parameters, loss),) = run(train_hvd, 1)
    cfg = copy.deepcopy(make_job(0))
    expected = plain_loop(cfg)
    assert distance(parameters, cfg["model"].parameters()) < 1e-9, "パラメータが正しくありません。"
    assert abs(loss - expected) < 1e-9, "パラメータは正しいのですが、損失が正しくありません。"


@test_case(
    name="two ranks agree",
    success_message=(
        "2つのランクの終了時のパラメータと損失が等しくなります。値が正しいかどうか、チェックポイント、ウォームアップは、ここでは試していません。"
    ),
    failure_message=(
        "学習の後では、すべてのランクのパラメータが等しく、返す損失も等しいはずです。「全員がランク0から始める」をもう一度読んでください。"
    ),
)
def test_two_ranks_agree(train_hvd):
    (first, loss), (second, other_loss) = run(train_hvd, 2)
    assert distance(second, first) < 1e-9, "2つのランクの終了時のパラメータが異なります。"
    assert abs(loss - other_loss) < 1e-9, "2つのランクが異なる損失を返しました。"
