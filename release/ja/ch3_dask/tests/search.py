from otter.test_files import test_case

from shardwork import lab

OK_FORMAT = False
name = "search"
points = None

OFFSET = 100.0


def score(data, param):
    return data["offset"] - abs(param - 5)


class Trial:
    """Two runs of search on a cluster of two workers, the second one without candidates."""

    kept = None

    def __init__(self, search):
        self.search = search
        self.drawn = self.asked = self.drawn_before_asking = 0
        data = {"offset": OFFSET}
        client = lab.dask_client()
        try:
            self.best = search(client, score, self.draw(8), data, 3, self.stop)
            self.nothing = search(client, score, self.draw(0), data, 3, self.stop)
        finally:
            lab.stop()

    @classmethod
    def of(cls, search):
        """Return the trial of this very function, made once."""
        if cls.kept is None or cls.kept.search is not search:
            cls.kept = cls(search)
        return cls.kept

    def draw(self, n):
        for param in range(n):
            self.drawn += 1
            if not self.asked:
                self.drawn_before_asking = self.drawn
            yield param

    def stop(self, score):
        self.asked += 1
        return False


@test_case(
    name="value",
    success_message="8個の候補から、最もよいものが見つかっています。",
    failure_message="候補が0から7のとき、最もよいのは5で、そのスコアは100.0です。",
)
def test_value(search):
    best = Trial.of(search).best
    assert best == (5, OFFSET), f'結果は{best}です。'


@test_case(
    name="back-pressure",
    success_message="候補は、空きに応じて取り出されています。",
    failure_message="max_inflight = 3のとき、最初のスコアについてstopが呼ばれるまでに取り出される候補は、多くても4個のはずです。",
)
def test_back_pressure(search):
    drawn = Trial.of(search).drawn_before_asking
    assert drawn <= 4, f'どのスコアについてもstopが呼ばれないうちに、{drawn}個の候補が取り出されました。'


@test_case(
    name="no candidates",
    success_message="候補がないときの結果はNoneです。",
    failure_message="候補がないとき、結果はNoneになるはずです。",
)
def test_no_candidates(search):
    best = Trial.of(search).nothing
    assert best is None, f'候補がないときの結果は{best}です。'


@test_case(
    name="error",
    success_message="max_inflightが0のとき、ValueErrorが送出されています。",
    failure_message="max_inflightが0のとき、何かをする前にValueErrorが送出されるはずです。",
)
def test_error(search):
    raised = False
    try:
        search(None, score, iter([1]), {"offset": OFFSET}, 0, lambda score: False)
    except ValueError:
        raised = True
    assert raised, "max_inflightが0のとき、ValueErrorが送出されませんでした。"
