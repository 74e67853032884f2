"""Public check of `topk_step`: a first step of one worker, and two impossible calls."""

import torch
from otter.test_files import test_case

OK_FORMAT = False

name = "topk_step"
points = None

GRADIENT = [0.5, -4.0, 0.25, 3.0, -1.0, 2.0, -0.125]


def first_step(function, k):
    """Call the function with a residual of zeros; look at the form of what it returns."""
    assert callable(function), "topk_stepがまだありません。先に、それを定義するセルを実行してください。"
    grad = torch.tensor(GRADIENT, dtype=torch.float64)
    try:
        result = function(grad.clone(), torch.zeros_like(grad), k)
    except NotImplementedError:
        raise AssertionError(
            "topk_stepがまだ書かれていません。セルの最後の2行を置き換えてください。"
        ) from None
    assert isinstance(result, tuple), f'タプルを返してください。返されたもの：{type(result).__name__}'
    assert len(result) == 3, f'タプルの要素は3つのはずですが、{len(result)}個あります。'
    types = [torch.float64, torch.int64, torch.float64]
    for part, label, dtype in zip(result, ["values", "idx", "residual"], types, strict=True):
        assert isinstance(part, torch.Tensor), f'{label} がテンソルではありません：{type(part).__name__}'
        assert part.dtype == dtype, f'{label} の型が {part.dtype} です。{dtype} でなければなりません。'
    assert result[2].shape == grad.shape, "残差は grad と同じ形でなければなりません。"
    return grad, *result


@test_case(
    name="form",
    success_message="メッセージと残差の形と型は正しいです。",
    failure_message="このチェックは、関数が返すものの型と形を調べます。",
)
def test_form(topk_step):
    _, values, idx, _ = first_step(topk_step, 2)
    found = (tuple(values.shape), tuple(idx.shape))
    assert found == ((2,), (2,)), f'k = 2 のとき、values と idx の形が {found} です。'
    assert len(set(idx.tolist())) == 2, "idx に同じ添字が2度現れています。"


@test_case(
    name="first_step",
    success_message=(
        "最初のステップで正しい成分を送り、ほかは残しています。ここでは、ゼロでない残差と、2つ以上のワーカーは試していません。"
    ),
    failure_message=(
        "このチェックは、まだ何も借りていない最初のステップを行います。「「大きい」とはゼロから遠いこと」と「何も失われない」をもう一度読んでください。"
    ),
)
def test_first_step(topk_step):
    for k in (1, 3):
        grad, values, idx, residual = first_step(topk_step, k)
        sent = torch.zeros_like(grad).index_add_(0, idx, values)
        smallest = grad[idx].abs().min()
        untouched = [i for i in range(len(grad)) if i not in idx.tolist()]
        assert (grad[untouched].abs() <= smallest).all(), (
            "残った成分の中に、送った成分よりゼロから遠いものがあります。"
        )
        assert torch.equal(sent[idx], grad[idx]), (
            "ある添字に対して送ったものが、勾配のその添字の成分ではありません。"
        )
        assert torch.allclose(sent + residual, grad, rtol=1e-12), (
            "送ったものと残ったものを足しても、勾配になりません。"
        )


@test_case(
    name="errors",
    success_message="できない呼び出しは拒否されています。",
    failure_message="できない k に対しては、関数はValueErrorを送出しなければなりません。",
)
def test_errors(topk_step):
    for k in (0, len(GRADIENT) + 1):
        try:
            first_step(topk_step, k)
        except ValueError:
            continue
        raise AssertionError(f'k = {k} でValueErrorが送出されませんでした。')
