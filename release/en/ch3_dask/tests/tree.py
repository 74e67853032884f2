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
        assert isinstance(result, Delayed), f"tree should return a Delayed, but it returned {kind}."
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
    success_message="The eight parts of the small example are combined in their order.",
    failure_message="The eight parts a to h, with an op that joins texts, should give abcdefgh.",
)
def test_value(tree):
    value = Trial(tree).value
    assert value == "abcdefgh", f"The result is {value!r}."


@test_case(
    name="nothing runs early",
    success_message="Nothing runs while the graph is built, and then each part is loaded once.",
    failure_message="While tree runs, no part may be loaded and op may not be called; "
    "then each part is loaded once.",
)
def test_nothing_runs_early(tree):
    trial = Trial(tree)
    early, loaded = trial.early, " ".join(sorted(trial.loaded))
    assert not early, f"{early} loads of parts or calls of op happened while tree was running."
    assert loaded == "a b c d e f g h", (
        f"These parts were loaded when the result was computed: {loaded}"
    )


@test_case(
    name="fan-in",
    success_message="Every call of op gets at least two and at most four values.",
    failure_message="With fan_in = 4, each call of op should get at least two and "
    "at most four values.",
)
def test_fan_in(tree):
    sizes = Trial(tree).sizes
    assert sizes, "op was never called."
    least, most = min(sizes), max(sizes)
    assert 2 <= least <= most <= 4, (
        f"The smallest call of op got {least} values, the largest {most}."
    )


@test_case(
    name="depth",
    success_message="No path holds more than two calls of op.",
    failure_message="Eight parts with fan_in = 4 need no more than two calls of op on any path.",
)
def test_depth(tree):
    depth = max(Trial(tree).depths.values())
    assert depth <= 2, f"The longest path holds {depth} calls of op."


@test_case(
    name="one part",
    success_message="A single part comes back as it is.",
    failure_message="With one part, the result should be that part, and op should not be called.",
)
def test_one_part(tree):
    trial = Trial(tree, letters="a")
    value = trial.value
    assert value == "a", f"The result of the single part a is {value!r}."
    assert not trial.sizes, "op was called for a single part."


@test_case(
    name="errors",
    success_message="An empty list of parts and a fan_in below 2 raise ValueError.",
    failure_message="The call of tree itself should raise ValueError, before anything is computed.",
)
def test_errors(tree):
    for letters, fan_in in [("", 2), ("ab", 1), ("a", 1)]:
        parts = [delayed(str)(letter) for letter in letters]
        n, raised = len(parts), False
        try:
            tree(parts, "".join, fan_in)
        except ValueError:
            raised = True
        assert raised, f"A list of {n} parts with fan_in = {fan_in} raised no ValueError."
