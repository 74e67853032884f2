"""Public check of `BucketDDP`: one step on one rank, and on two ranks with unlike parameters.

The ranks are threads of this process. `Meeting` adds up what they bring, and says so when they are
out of step instead of waiting for ever.
"""

import threading

import torch
from otter.test_files import test_case

OK_FORMAT = False

name = "BucketDDP"
points = None


class OutOfStep(Exception):
    """The ranks do not make the same calls; raised on every rank that waits then."""


class Meeting:
    """Where the ranks meet: call number k of each rank meets call number k of all others."""

    def __init__(self, world):
        self.world = world
        self.changed = threading.Condition()
        self.calls = []  # for each number: what the ranks have given so far
        self.made = [0] * world
        self.returned = set()
        self.problem = None

    def begin(self, rank, kind, tensor):
        with self.changed:
            number = self.made[rank]
            self.made[rank] += 1
            if number == len(self.calls):
                self.calls.append({})
            self.calls[number][rank] = (kind, tensor.detach().clone())
            given = self.calls[number].values()
            if len({(kind, tensor.shape, tensor.dtype) for kind, tensor in given}) > 1:
                self.problem = self.problem or "calls differ"
            self.changed.notify_all()
            return number

    def wait(self, number):
        with self.changed:
            self.changed.wait_for(
                lambda: len(self.calls[number]) == self.world
                or self.problem
                or any(rank not in self.calls[number] for rank in self.returned)
            )
            if len(self.calls[number]) < self.world:
                self.problem = self.problem or "rank missing"
            if self.problem:
                raise OutOfStep(self.problem)
            return [self.calls[number][rank][1] for rank in range(self.world)]

    def leave(self, rank):
        with self.changed:
            self.returned.add(rank)
            self.changed.notify_all()


class Comm:
    """The network as one rank sees it."""

    def __init__(self, meeting, rank):
        self.meeting, self.rank, self.size = meeting, rank, meeting.world
        self.reduced = []

    def broadcast(self, tensor, src):
        given = self.meeting.wait(self.meeting.begin(self.rank, f"broadcast {src}", tensor))
        tensor.data.copy_(given[src])

    def all_reduce(self, tensor, async_op=False):
        handle = Handle(self, tensor, self.meeting.begin(self.rank, "all_reduce", tensor))
        self.reduced.append(tensor.numel())
        return handle if async_op else handle.wait()


class Handle:
    def __init__(self, comm, tensor, number):
        self.comm, self.tensor, self.number, self.done = comm, tensor, number, False

    def wait(self):
        if not self.done:
            given = self.comm.meeting.wait(self.number)
            self.tensor.data.copy_(sum(given))
            self.done = True


def make_module(seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [torch.nn.Linear(3, 6), torch.nn.Tanh(), torch.nn.Linear(6, 6), torch.nn.Tanh()]
        return torch.nn.Sequential(*layers, torch.nn.Linear(6, 2)).double()


def make_batch(rank):
    generator = torch.Generator().manual_seed(rank)
    rows = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    return rows, torch.randn(4, 2, generator=generator, dtype=torch.float64)


def one_step(BucketDDP, world, cap_bytes):
    """Make one step on one thread per rank; return modules and networks, by rank."""
    assert callable(BucketDDP), "BucketDDP がまだありません。先に、これを定義するセルを実行してください。"
    meeting = Meeting(world)
    modules = [make_module(rank) for rank in range(world)]
    networks = [Comm(meeting, rank) for rank in range(world)]
    errors = {}

    def run(rank):
        rows, targets = make_batch(rank)
        try:
            ddp = BucketDDP(modules[rank], networks[rank], cap_bytes)
            networks[rank].reduced.clear()  # what was done to begin with does not count
            out = ddp(rows)
            assert isinstance(out, torch.Tensor), "ddp(rows) は、module(rows) が返すものを返さなければなりません。"
            torch.nn.functional.mse_loss(out, targets).backward()
            ddp.finish()
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
            "BucketDDP がまだ書かれていません。各メソッドの最後の2行を置き換えてください。"
        )
        if not isinstance(error, OutOfStep):
            kind = type(error).__name__
            raise AssertionError(f'ランク{rank}で、クラスが {kind} を送出しました：{error}')
    assert meeting.problem != "rank missing", (
        "あるランクが戻ったのに、別のランクがまだネットワークを待っています。"
    )
    assert meeting.problem != "calls differ", (
        "ネットワークで、ランクどうしが異なる呼び出し、または異なる形のテンソルで出会っています。"
    )
    for rank, module in enumerate(modules):
        for label, parameter in module.named_parameters():
            found = parameter.grad
            assert found is not None, f'finish の後、ランク{rank}で {label} の .grad が None です。'
            assert found.shape == parameter.shape, f'{label} の勾配の形が異なります。'
    return modules, networks


def expected(world):
    """The mean of the gradients that the shards give alone, at the parameters of rank 0."""
    total = 0
    for rank in range(world):
        module = make_module(0)
        rows, targets = make_batch(rank)
        torch.nn.functional.mse_loss(module(rows), targets).backward()
        total = total + flat(p.grad for p in module.parameters())
    return total / world


def flat(tensors):
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


def distance(found, right):
    """Norm of the difference, divided by the norm of what is right."""
    return ((found - right).norm() / right.norm()).item()


@test_case(
    name="one_rank",
    success_message="ランクが1つのとき、勾配は正しく求められています。",
    failure_message="1ランクだけのとき、finish の後の勾配は backward が求めたものと同じです。",
)
def test_one_rank(BucketDDP):
    (module,), _ = one_step(BucketDDP, 1, cap_bytes=400)
    error = distance(flat(p.grad for p in module.parameters()), expected(1))
    assert error < 1e-10, "ランクが1つのときの勾配が正しくありません。"


@test_case(
    name="two_ranks",
    success_message="2ランクで、勾配は平均になり、両方がランク0の重みを持っています。",
    failure_message=(
        "このチェックは、異なるパラメータから始まる2ランクで1ステップを行います。最初のパラメータと、finish の後の .grad について、課題が何を求めているかを見直してください。"
    ),
)
def test_two_ranks(BucketDDP):
    modules, _ = one_step(BucketDDP, 2, cap_bytes=400)
    start = flat(make_module(0).parameters())
    for rank, module in enumerate(modules):
        change = distance(flat(module.parameters()), start)
        assert change < 1e-12, f'ランク{rank}のパラメータが、ランク0の最初のパラメータと異なります。'
    for rank, module in enumerate(modules):
        error = distance(flat(p.grad for p in module.parameters()), expected(2))
        assert error < 1e-10, f'ランク{rank}の勾配が、2ランクの平均ではありません。'


@test_case(
    name="all_reduces",
    success_message=(
        "上限が大きければ、1回の all-reduce ですべての勾配を運び、上限が1バイトなら、どのパラメータも単独で送られます。ここで試していないもの：その間の上限、all-reduce の始まる時点、2ステップ目以降、共有・凍結・未使用のパラメータ。"
    ),
    failure_message=(
        "このチェックは、すべてが入る上限と、何も入らない上限とで、1ステップの all-reduce を数えます。「なぜバケットなのか」を読み直してください。"
    ),
)
def test_all_reduces(BucketDDP):
    numbers = [p.numel() for p in make_module(0).parameters()]
    for cap_bytes, expected_calls in ((10_000, 1), (1, len(numbers))):
        _, networks = one_step(BucketDDP, 2, cap_bytes)
        for network in networks:
            made = len(network.reduced)
            assert made == expected_calls, f'cap_bytes={cap_bytes} で、all-reduce は{made}回です。'
            travelled, needed = sum(network.reduced), sum(numbers)
            assert travelled == needed, f'送られた数値は{travelled}個です。全部で{needed}個あります。'
