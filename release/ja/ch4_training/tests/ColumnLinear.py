"""Public check of `ColumnLinear` and `RowLinear`: the output, and the shapes on every rank.

The ranks are threads of this process. `Meeting` carries their collectives, and says so when they
are out of step instead of waiting for ever.
"""

import threading

import torch
from otter.test_files import test_case

OK_FORMAT = False

name = "ColumnLinear"
points = None


class OutOfStep(Exception):
    """The ranks do not make the same collectives; raised on every rank that is in one then."""


class Meeting:
    """Where the ranks meet for a collective, and who is missing there."""

    def __init__(self, world):
        self.world = world
        self.changed = threading.Condition()
        self.waiting = {}
        self.answers = {}
        self.returned = set()
        self.stuck = False

    def gather(self, rank, tensor):
        """Return what all ranks have brought to the same call."""
        with self.changed:
            self.waiting[rank] = tensor.detach().clone()
            if len(self.waiting) == self.world:
                brought = [self.waiting[r] for r in range(self.world)]
                self.answers.update(dict.fromkeys(range(self.world), brought))
                self.waiting.clear()
            self.look()
            self.changed.wait_for(lambda: rank in self.answers or self.stuck)
            if rank not in self.answers:
                raise OutOfStep
            return self.answers.pop(rank)

    def leave(self, rank):
        with self.changed:
            self.returned.add(rank)
            self.look()

    def look(self):
        self.stuck = self.stuck or bool(self.waiting and self.returned)
        self.changed.notify_all()


class Comm:
    """What a rank is given."""

    def __init__(self, meeting, rank):
        self.rank, self.size = rank, meeting.world
        self.meeting = meeting

    def all_reduce(self, tensor):
        with torch.no_grad():
            tensor.data.copy_(sum(self.meeting.gather(self.rank, tensor)))

    def all_gather(self, tensor):
        return self.meeting.gather(self.rank, tensor)

    def broadcast(self, tensor, src):
        with torch.no_grad():
            tensor.data.copy_(self.meeting.gather(self.rank, tensor)[src])


def make_weights():
    generator = torch.Generator().manual_seed(7)
    shapes = [(6, 3), (6,), (4, 6), (4,), (5, 3)]
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def run_ranks(first, second, world):
    """Build both layers on every rank and call them; return the layers, features and outputs."""
    assert isinstance(first, type) and isinstance(second, type), (
        "ColumnLinearまたはRowLinearがまだありません。先に、それらを定義するセルを実行してください。"
    )
    a, b, c, d, x = make_weights()
    meeting = Meeting(world)
    results, errors = [None] * world, {}

    def run(rank):
        try:
            comm = Comm(meeting, rank)
            column = first(comm, a.clone(), b.clone())
            row = second(comm, c.clone(), d.clone())
            features = column(x.clone())
            results[rank] = column, row, features, row(torch.tanh(features))
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
            "まだ書かれていない層があります。NotImplementedErrorを発生させる行を、自分の解答に置き換えてください。"
        )
        if not isinstance(error, OutOfStep):
            kind = type(error).__name__
            raise AssertionError(f'ランク{rank}で、あなたの層が{kind}を発生させました：{error}')
    assert not meeting.stuck, "ほかのランクが行わない集団通信の中で待っているランクがあります。"
    return results


def require_shape(what, found, shape):
    assert isinstance(found, torch.Tensor), f'{what}：テンソルではありません。見つかったもの：{type(found).__name__}。'
    assert tuple(found.shape) == shape, f'{what}：形状は{shape}のはずですが、{tuple(found.shape)}です。'


def require_output(results):
    a, b, c, d, x = make_weights()
    expected = torch.tanh(x @ a.T + b) @ c.T + d
    for rank, (_, _, _, output) in enumerate(results):
        require_shape(f"On rank {rank}, what RowLinear returns", output, (5, 4))
        error = ((output - expected).norm() / expected.norm()).item()
        assert error < 1e-10, (
            f'{len(results)}個のランクのうちランク{rank}の出力が、分けていない2つの層の出力と一致しません。'
        )


@test_case(
    name="one_rank",
    success_message="ランクが1つのとき、分けていない層と一致します。",
    failure_message="このチェックは、あなたの層を、すべての重みを持つ1つのランクで呼び出します。",
)
def test_one_rank(ColumnLinear, RowLinear):
    require_output(run_ranks(ColumnLinear, RowLinear, 1))


@test_case(
    name="two_ranks_shapes",
    success_message="2つのランクで、どの層も自分のシャードを持ち、特徴も分けられています。",
    failure_message=(
        "このチェックは、2つの層の間の特徴が6個の場合に、あなたの層を2つのランクで作り、形状を調べます。「出力で分ける：特徴の列」と「入力で分ける：部分和」をもう一度読んでください。"
    ),
)
def test_two_ranks_shapes(ColumnLinear, RowLinear):
    for rank, (column, row, features, _) in enumerate(run_ranks(ColumnLinear, RowLinear, 2)):
        require_shape(f"On rank {rank}, ColumnLinear.weight", column.weight, (3, 3))
        require_shape(f"On rank {rank}, ColumnLinear.bias", column.bias, (3,))
        require_shape(f"On rank {rank}, RowLinear.weight", row.weight, (4, 3))
        require_shape(f"On rank {rank}, RowLinear.bias", row.bias, (4,))
        require_shape(f"On rank {rank}, what ColumnLinear returns", features, (5, 3))


@test_case(
    name="two_ranks_output",
    success_message=(
        "2つのランクで、出力が分けていない2つの層の出力と一致します。ここで試していないもの：勾配、集団通信の回数、もっと多いランク、ランクの数で割り切れない特徴。"
    ),
    failure_message=(
        "このチェックは、2つのランクの出力を、分けていない2つの層の出力と比べます。「入力で分ける：部分和」をもう一度読んでください。"
    ),
)
def test_two_ranks_output(ColumnLinear, RowLinear):
    require_output(run_ranks(ColumnLinear, RowLinear, 2))
