"""Public check of `ring`: one, two and three ranks, with lengths that fit, and what is sent.

The ranks are threads of this process. The network between them never makes a sender wait, and it
says so when all ranks wait for messages that nobody has sent, instead of waiting with them.
"""

import threading
from collections import defaultdict, deque

import torch
from otter.test_files import test_case

OK_FORMAT = False

name = "ring"
points = None


class Stuck(Exception):
    """All ranks wait for messages that nobody has sent, or have returned."""


class Network:
    """Messages between threads, and how many elements each rank has sent."""

    def __init__(self, size):
        self.size = size
        self.changed = threading.Condition()
        self.messages = defaultdict(deque)
        self.waiting = {}
        self.returned = set()
        self.stuck = False
        self.elements = [0] * size

    def put(self, tensor, source, to):
        assert isinstance(tensor, torch.Tensor), (
            f'送れるのはテンソルだけです。見つかったもの：{type(tensor).__name__}。'
        )
        assert to in range(self.size) and to != source, (
            f'{self.size}個のランクのうちランク{source}が、ランク{to}に送ろうとしました。そのような相手はいません。'
        )
        with self.changed:
            self.elements[source] += tensor.numel()
            self.messages[source, to].append(tensor.detach().clone())
            self.changed.notify_all()

    def take(self, source, to):
        assert source in range(self.size) and source != to, (
            f'{self.size}個のランクのうちランク{to}が、ランク{source}から受け取ろうとしました。そのような相手はいません。'
        )
        queue = self.messages[source, to]
        with self.changed:
            self.waiting[to] = queue
            self.look()
            self.changed.wait_for(lambda: queue or self.stuck)
            del self.waiting[to]
            if not queue:
                raise Stuck
            return queue.popleft()

    def leave(self, rank):
        with self.changed:
            self.returned.add(rank)
            self.look()

    def look(self):
        """Note that nobody can go on, if so."""
        if len(self.waiting) + len(self.returned) == self.size and self.waiting:
            self.stuck = self.stuck or not any(self.waiting.values())
            self.changed.notify_all()


class Comm:
    """What a rank is given."""

    def __init__(self, network, rank):
        self.rank, self.size = rank, network.size
        self.network = network

    def send(self, tensor, dst):
        self.network.put(tensor, self.rank, dst)

    def isend(self, tensor, dst):
        self.send(tensor, dst)
        return Sent()

    def recv(self, src):
        return self.network.take(src, self.rank)


class Sent:
    def wait(self):
        pass


def run_ranks(function, tensors):
    """Call the function on one thread per rank; return the results and the network."""
    assert callable(function), "ringがまだありません。先に、ringを定義するセルを実行してください。"
    network = Network(len(tensors))
    results, errors = [None] * len(tensors), {}

    def run(rank):
        try:
            results[rank] = function(Comm(network, rank), tensors[rank].clone())
        except Exception as error:
            errors[rank] = error
        finally:
            network.leave(rank)

    threads = [threading.Thread(target=run, args=(r,), daemon=True) for r in range(len(tensors))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for rank, error in sorted(errors.items()):
        assert not isinstance(error, NotImplementedError), (
            "ringがまだ書かれていません。セルの最後の2行を、自分の解答に置き換えてください。"
        )
        if isinstance(error, AssertionError):
            raise error
        if not isinstance(error, Stuck):
            kind = type(error).__name__
            raise AssertionError(f'ランク{rank}で、関数が{kind}を送出しました：{error}')
    assert not network.stuck, (
        f'{network.size}個のランクで実行したところ、決して送られないメッセージをrecvで待っているランクがあります。'
    )
    for rank, result in enumerate(results):
        require_form(rank, result, tensors[rank])
    return results, network


def require_form(rank, result, x):
    found = type(result).__name__
    assert isinstance(result, torch.Tensor), f'ランク{rank}が返したものはテンソルではありません。見つかったもの：{found}。'
    assert result.shape == x.shape, (
        f'ランク{rank}が返した形状は{tuple(result.shape)}ですが、xの形状は{tuple(x.shape)}です。'
    )
    assert result.dtype == x.dtype, f'ランク{rank}が返した型は{result.dtype}ですが、xの型は{x.dtype}です。'


def make_tensors(world, n):
    generator = torch.Generator().manual_seed(world)
    return [torch.randn(n, generator=generator, dtype=torch.float64) for _ in range(world)]


def require_sums(results, tensors):
    for rank, result in enumerate(results):
        right = torch.isclose(result, sum(tensors), rtol=1e-12, atol=1e-12)
        assert right.all(), (
            f'{len(tensors)}個のランクのうちランク{rank}では、{len(right)}個の要素のうち{int(right.sum())}個が全ランクの和になっています。'
        )


@test_case(
    name="one_rank",
    success_message="ランクが1つのとき、和はxそのものです。",
    failure_message="このチェックは、あなたの関数を1つのランクで呼び出します。そこには、話す相手がいません。",
)
def test_one_rank(ring):
    tensors = make_tensors(1, 5)
    results, _ = run_ranks(ring, tensors)
    require_sums(results, tensors)


@test_case(
    name="two_ranks",
    success_message="6個の要素を持つ2つのランクが、どちらも和を得ます。",
    failure_message=(
        "このチェックは、あなたの関数を、6個の要素を持つ2つのランクで呼び出します。「隣どうしの輪」をもう一度読んでください。"
    ),
)
def test_two_ranks(ring):
    tensors = make_tensors(2, 6)
    results, _ = run_ranks(ring, tensors)
    require_sums(results, tensors)


@test_case(
    name="three_ranks",
    success_message=(
        "9個の要素を持つ3つのランクが和を得て、送る要素の個数も許された範囲に収まっています。ここで試していないもの：ほかの長さ、ほかの型、もっと多いランク、ラウンド、送り手を待たせるネットワーク。"
    ),
    failure_message=(
        "このチェックは、あなたの関数を、9個の要素を持つ3つのランクで呼び出し、各ランクが送る要素を数えます。「全体ではなく断片を」をもう一度読んでください。"
    ),
)
def test_three_ranks(ring):
    tensors = make_tensors(3, 9)
    results, network = run_ranks(ring, tensors)
    require_sums(results, tensors)
    assert max(network.elements) <= 12, (
        f'最も忙しいランクが{max(network.elements)}個の要素を送っています。課題で許されているのは 2 (p - 1) ceil(n / p) = 12 個までです。'
    )
