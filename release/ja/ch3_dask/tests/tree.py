from dask import delayed
from dask.delayed import Delayed
from otter.test_files import test_case

OK_FORMAT = False
name = "tree"
points = None


class Trial:
    """One run of tree on letters as parts, with an op that joins texts and notes its calls."""

    def __init__(self, tree, letters="abcdefgh", fan_in=4):
        self.loaded = []
        self.sizes = []
        self.depths = dict.fromkeys(letters, 0)
        parts = [delayed(self.load, pure=False)(letter) for letter in letters]
        result = tree(parts, self.op, fan_in)
        self.early = len(self.loaded) + len(self.sizes)
        kind = type(result).__name__
        assert isinstance(result, Delayed), f'treeはDelayedを返すはずですが、{kind}が返りました。'
        self.value = result.compute(scheduler="sync")

    def load(self, letter):
        self.loaded.append(letter)
        return letter

    def op(self, values):
        joined = "".join(str(value) for value in values)
        self.depths[joined] = 1 + max((self.depths.get(str(v), 0) for v in values), default=0)
        self.sizes.append(len(values))
        return joined


@test_case(
    name="value",
    success_message="小さな例の8個のパートが、順序どおりにまとめられています。",
    failure_message="文字列を連結するopで8個のパートaからhをまとめると、abcdefghになるはずです。",
)
def test_value(tree):
    value = Trial(tree).value
    assert value == "abcdefgh", f'結果は{value!r}でした。'


@test_case(
    name="nothing runs early",
    success_message="グラフを組み立てている間は何も実行されず、計算のときに各パートが1回ずつ読み込まれています。",
    failure_message="treeの実行中は、パートを読み込んだりopを呼んだりしてはいけません。各パートは、計算のときに1回ずつ読み込まれるはずです。",
)
def test_nothing_runs_early(tree):
    trial = Trial(tree)
    early, loaded = trial.early, " ".join(sorted(trial.loaded))
    assert not early, f'treeの実行中に、パートの読み込みまたはopの呼び出しが合わせて{early}回起こりました。'
    assert loaded == "a b c d e f g h", (
        f'結果の計算のときに読み込まれたパートは次のとおりです：{loaded}'
    )


@test_case(
    name="fan-in",
    success_message="opのどの呼び出しも、2個以上4個以下の値を受け取っています。",
    failure_message="fan_in = 4のとき、opの各呼び出しに渡す値は2個以上4個以下でなければなりません。",
)
def test_fan_in(tree):
    sizes = Trial(tree).sizes
    assert sizes, "opが一度も呼ばれませんでした。"
    least, most = min(sizes), max(sizes)
    assert 2 <= least <= most <= 4, (
        f'opの呼び出しに渡された値の個数は、最小で{least}個、最大で{most}個でした。'
    )


@test_case(
    name="depth",
    success_message="どの経路でも、opの呼び出しは2回以下です。",
    failure_message="fan_in = 4で8個のパートをまとめるには、どの経路でもopの呼び出しは2回以下で足ります。",
)
def test_depth(tree):
    depth = max(Trial(tree).depths.values())
    assert depth <= 2, f'最も長い経路には、opの呼び出しが{depth}回あります。'


@test_case(
    name="one part",
    success_message="パートが1つだけのときは、そのまま返っています。",
    failure_message="パートが1つだけのときは、そのパートを返し、opを呼ばないはずです。",
)
def test_one_part(tree):
    trial = Trial(tree, letters="a")
    value = trial.value
    assert value == "a", f'パートaだけを渡した結果は{value!r}でした。'
    assert not trial.sizes, "パートが1つだけなのに、opが呼ばれました。"


@test_case(
    name="errors",
    success_message="空のリストや、2未満のfan_inに対して、ValueErrorが送出されています。",
    failure_message="ValueErrorは、計算のときではなく、treeを呼び出した時点で送出されるはずです。",
)
def test_errors(tree):
    for letters, fan_in in [("", 2), ("ab", 1), ("a", 1)]:
        parts = [delayed(str)(letter) for letter in letters]
        n, raised = len(parts), False
        try:
            tree(parts, "".join, fan_in)
        except ValueError:
            raised = True
        assert raised, f'パート{n}個のリストとfan_in = {fan_in}に対して、ValueErrorが送出されませんでした。'
