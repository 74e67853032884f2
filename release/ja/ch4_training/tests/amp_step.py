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
        assert isinstance(tensor, torch.Tensor), "comm.all_reduceにはテンソルを渡してください。"


def loss(weights):
    """Half the squared distance of all weights from 2, computed in half precision."""
    for weight in weights:
        found = getattr(weight, "dtype", type(weight).__name__)
        if found != torch.float16:
            raise TypeError(f'lossにはfloat16のテンソルを渡してください。渡されたもの：{found}')
    return sum(0.5 * ((weight - 2.0).float() ** 2).sum() for weight in weights)


def written(function, *args):
    try:
        return function(*args)
    except NotImplementedError:
        raise AssertionError(
            "まだ書かれていない部分があります。3か所のそれぞれで、2行を置き換えてください。"
        ) from None


@test_case(
    name="scaler",
    success_message="スケーラーは与えられたスケールで始まり、オーバーフローのたびに半分にします。",
    failure_message="このチェックは、Scalerを作り、2回オーバーフローさせます。",
)
def test_scaler(Scaler):
    scaler = written(Scaler, 64.0, 3)
    assert scaler.scale == 64.0, f'Scaler(64.0, 3) の最初のスケールが {scaler.scale} です。'
    for expected in (32.0, 16.0):
        written(scaler.update, True)
        assert scaler.scale == expected, f'オーバーフローの後、スケールが {scaler.scale} になりました。'


@test_case(
    name="step",
    success_message=(
        "1つのランクで、クリッピングもオーバーフローもないステップは正しく行われます。小さな勾配、小さな更新量、クリッピング、オーバーフロー、2つ以上のランクは、ここでは試していません。"
    ),
    failure_message=(
        "このチェックは、1つのランクで1ステップを行います。「小さすぎる勾配」と「大きさを見る前にスケールを戻す」をもう一度読んでください。"
    ),
)
def test_step(Scaler, amp_step):
    start = [torch.tensor([0.5, -1.25, 3.0]), torch.tensor([[1.0], [0.25]])]
    master = [weight.clone() for weight in start]
    result = written(amp_step, master, loss, written(Scaler, 256.0, 10), 0.125, 1000.0, Alone())
    assert result is True, f'amp_stepが {result!r} を返しました。このステップは行えるはずでした。'
    for before, after in zip(start, master, strict=True):
        assert after.dtype == torch.float32, f'マスターの重みが {after.dtype} になっています。'
        assert after.shape == before.shape, "マスターの重みの形が変わっています。"
        moved = after.detach() - before
        ratio = (moved / (2.0 - before)).mean().item()
        assert abs(ratio / 0.125 - 1) < 0.01, (
            f'lr = 0.125 で、重みの移動が、符号を変えた勾配の{ratio:.4g}倍です。'
        )
