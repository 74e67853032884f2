"""Public check of `dp_grads`: one rank, and two ranks with equally long shards.

The ranks are threads of this process. `Meeting.allreduce` adds up what they bring, and says so
when they are out of step instead of waiting for ever.
"""

import threading

import torch
from otter.test_files import test_case

OK_FORMAT = False

name = "dp_grads"
points = None


class OutOfStep(Exception):
    """The ranks do not make the same calls; raised on every rank that is in `allreduce` then."""


class Meeting:
    """Where the ranks meet: an all-reduce between threads that notices who is missing."""

    def __init__(self, world):
        self.world = world
        self.changed = threading.Condition()
        self.waiting = {}
        self.returned = set()
        self.problem = None

    def allreduce(self, rank, tensor):
        if not isinstance(tensor, torch.Tensor) or tensor.dtype != torch.float64:
            found = getattr(tensor, "dtype", type(tensor).__name__)
            raise TypeError(f'allreduceに渡せるのはfloat64のテンソルです。渡されたもの：{found}')
        with self.changed:
            self.waiting[rank] = tensor
            self.advance()
            self.changed.wait_for(lambda: rank not in self.waiting or self.problem)
            if self.problem:
                raise OutOfStep(self.problem)

    def leave(self, rank):
        with self.changed:
            self.returned.add(rank)
            self.advance()

    def advance(self):
        """Add up once all ranks wait; note the first problem, which is the cause of the others."""
        if not self.problem and self.waiting and self.returned:
            self.problem = "rank missing"
        if not self.problem and len(self.waiting) == self.world:
            if len({tensor.shape for tensor in self.waiting.values()}) > 1:
                self.problem = "shapes differ"
            else:
                with torch.no_grad():
                    total = sum(tensor.detach().clone() for tensor in self.waiting.values())
                    for tensor in self.waiting.values():
                        tensor.copy_(total)
                self.waiting.clear()
        self.changed.notify_all()


def mean_squared_error(prediction, target):
    return ((prediction - target) ** 2).mean()


def make_model(seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)
        return torch.nn.Sequential(*layers).double()


def make_shards(world):
    generator = torch.Generator().manual_seed(world)
    X = torch.randn(4 * world, 3, generator=generator, dtype=torch.float64)
    y = torch.randn(4 * world, 2, generator=generator, dtype=torch.float64)
    return list(zip(X.split(4), y.split(4), strict=True))


def run_ranks(function, models, shards):
    """Call the function on one thread per rank; return the lists of gradients, by rank."""
    assert callable(function), "dp_gradsがまだありません。先に、dp_gradsを定義するセルを実行してください。"
    world = len(models)
    meeting = Meeting(world)
    results, errors = [None] * world, {}

    def run(rank):
        X, y = shards[rank]
        try:
            results[rank] = function(
                rank,
                world,
                models[rank],
                mean_squared_error,
                X.clone(),
                y.clone(),
                lambda tensor: meeting.allreduce(rank, tensor),
            )
        except Exception as error:
            errors[rank] = error
        finally:
            meeting.leave(rank)

    threads = [threading.Thread(target=run, args=(rank,), daemon=True) for rank in range(world)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for rank, error in sorted(errors.items()):
        assert not isinstance(error, NotImplementedError), (
            "dp_gradsがまだ書かれていません。セルの最後の2行を解答に置き換えてください。"
        )
        if not isinstance(error, OutOfStep):
            kind = type(error).__name__
            raise AssertionError(f'ランク{rank}で、関数が{kind}を送出しました：{error}')
    assert meeting.problem != "rank missing", (
        "あるランクがallreduceで待っているのに、別のランクはすでに戻ってしまいました。"
    )
    assert meeting.problem != "shapes differ", (
        "各ランクがallreduceに渡したテンソルの形状が、互いに異なっています。"
    )
    for result in results:
        require_list_of_gradients(result, models[0])
    return results


def require_list_of_gradients(result, model):
    shapes = [tuple(parameter.shape) for parameter in model.parameters()]
    found = type(result).__name__
    assert isinstance(result, list), f'dp_gradsはテンソルのリストを返さなければなりません。返されたもの：{found}'
    assert len(result) == len(shapes), (
        f'モデルのパラメータは{len(shapes)}個ですが、返されたリストの要素は{len(result)}個です。'
    )
    for i, (gradient, shape) in enumerate(zip(result, shapes, strict=True)):
        found = type(gradient).__name__
        assert isinstance(gradient, torch.Tensor), f'リストの要素{i}がテンソルではありません。見つかったもの：{found}'
        found = tuple(gradient.shape)
        assert found == shape, f'リストの要素{i}の形状は{found}ですが、対応するパラメータの形状は{shape}です。'
        found = gradient.dtype
        assert found == torch.float64, f'リストの要素{i}の型は{found}ですが、float64でなければなりません。'


def one_process(seed, shards):
    """The gradient that a single process computes on all rows."""
    model = make_model(seed)
    X, y = (torch.cat(parts) for parts in zip(*shards, strict=True))
    return torch.autograd.grad(mean_squared_error(model(X), y), tuple(model.parameters()))


def distance(found, expected):
    """Norm of the difference, divided by the norm of what was expected."""
    found = torch.cat([tensor.detach().reshape(-1) for tensor in found])
    expected = torch.cat([tensor.detach().reshape(-1) for tensor in expected])
    return ((found - expected).norm() / expected.norm()).item()


@test_case(
    name="one_rank",
    success_message="ランクが1つのとき、勾配は正しく求められています。",
    failure_message=(
        "このチェックは、ランクが1つだけの場合に関数を呼び出します。このとき、勾配はbackwardが計算するものと同じで、モデルの重みは変わりません。"
    ),
)
def test_one_rank(dp_grads):
    models, shards = [make_model(1)], make_shards(1)
    (gradients,) = run_ranks(dp_grads, models, shards)
    error = distance(gradients, one_process(1, shards))
    assert error < 1e-10, "ランクが1つのときの勾配が正しくありません。"
    change = distance(models[0].parameters(), make_model(1).parameters())
    assert change < 1e-12, "関数がモデルの重みを変えてしまいました。"


@test_case(
    name="two_ranks_weights",
    success_message="2つのランクの呼び出しはそろっており、どちらも最後にランク0の重みを持っています。",
    failure_message=(
        "このチェックは、初期の重みが異なるモデルを持つ2つのランクで関数を呼び出し、その後の重みを調べます。「レプリカは同じ重みから始める」をもう一度読んでください。"
    ),
)
def test_two_ranks_weights(dp_grads):
    models = [make_model(1), make_model(2)]
    run_ranks(dp_grads, models, make_shards(2))
    changes = [distance(model.parameters(), make_model(1).parameters()) for model in models]
    assert changes[0] < 1e-12, "ランク0の重みが変わっています。使うべきなのは、ランク0の初期の重みです。"
    assert changes[1] < 1e-12, "ランク1の重みが、ランク0の初期の重みと一致しません。"


@test_case(
    name="two_ranks_gradient",
    success_message=(
        "同じ長さのシャードを持つ2つのランクで、勾配は1つのプロセスのものと一致しました。ここで試していないのは、不均等なシャード、3つ以上のランク、あるランクで勾配を持たないパラメータです。"
    ),
    failure_message=(
        "このチェックは、4行ずつを持つ2つのランクの勾配を、1つのプロセスが8行すべてから計算した勾配と比べます。「バッチ全体の勾配」をもう一度読んでください。"
    ),
)
def test_two_ranks_gradient(dp_grads):
    shards = make_shards(2)
    first, second = run_ranks(dp_grads, [make_model(1), make_model(2)], shards)
    assert distance(second, first) < 1e-10, "2つのランクが、互いに異なる勾配を返しています。"
    error = distance(first, one_process(1, shards))
    assert error < 1e-10, "2つのランクの勾配は互いに一致していますが、1つのプロセスがすべての行から計算した勾配とは一致しません。"
