"""Defences of the trusted side: ingest, judge, feedback, gradebook."""

from __future__ import annotations

from typing import Any

from tests.attacks.weak import defence, module


@defence("C05")
def strict_types() -> None:
    """A value must have exactly the type that the grader asks for."""
    for name in ("student", "spark", "dask", "torch"):
        module(f"shardwork.judge.{name}").typed = lambda value, kind: value


@defence("B02b")
def nothing_unpickled() -> None:
    """No byte from a sandbox is unpickled: no tag stands for a pickle, and a guard watches."""
    import pickle

    module("shardwork.judge.guard").NEVER = frozenset()
    reader = module("shardwork.wire.values")._Reader
    read = reader.read

    def trusting(self: Any, tree: object, depth: int) -> Any:
        if isinstance(tree, list) and tree[:1] == ["p"]:
            return pickle.loads(tree[1])
        return read(self, tree, depth)

    reader.read = trusting


@defence("A10")
def details_kept() -> None:
    """What an exception says while it is judged is the TA's: it could hold a hidden input."""
    view = module("shardwork.studentview")
    view.shown_message = lambda check, *_: f"{check.message} {check.detail}"


@defence("A10b")
def closed_names() -> None:
    """The name of an exception's class is shown only if it is one of a closed list."""
    sentences = module("shardwork.sentences")
    by_name = sentences.SENTENCES
    sentences.SENTENCES = {text: dict.fromkeys(by_name[text], str) for text in by_name}


@defence("A12")
def assertions_unexplained() -> None:
    """pytest explains no assertion, and what one says is the TA's."""
    pytest, plugin = module("pytest"), module("shardwork.judge.sitting").Sitting
    run, said = pytest.main, plugin._asserted

    def explaining(args: list[str], **kw: Any) -> Any:
        return run([a.replace("--assert=plain", "--assert=rewrite") for a in args], **kw)

    def loud(self: Any, exercise: str, error: AssertionError, result: Any) -> Any:
        import msgspec

        found = said(self, exercise, error, result)
        return msgspec.structs.replace(found, message=found.message or str(error))

    pytest.main = explaining
    plugin._asserted = loud
    module("shardwork.studentview").shown_message = lambda check, *_: check.message


@defence("B18")
def points_from_the_record() -> None:
    """Points come from the record, and the gradebook's notebook is the one that ingest rebuilt."""
    import nbformat

    bridge, handback = module("shardwork.nbgrader_bridge"), module("shardwork.handback")

    def handed_in(course: Any, assignment: str, student: str, language: str = "") -> Any:
        path = course.submitted / student / assignment / f"{assignment}.ipynb"
        return nbformat.reads(path.read_text("utf-8"), as_version=4)

    def as_it_is(self: Any, nb: Any, resources: dict[str, Any]) -> Any:
        resources[bridge._RECORD] = self.record
        return nb, resources

    def keeping(course: Any) -> Any:
        config = options(course)
        theirs = ("OverwriteKernelspec", "OverwriteCells", "CheckCellMetadata")  # not ClearOutput
        config.Autograde.sanitize_preprocessors = [f"nbgrader.preprocessors.{t}" for t in theirs]
        return config

    options, write = bridge.options, handback.write_gradebook
    bridge.options = keeping
    bridge.clean_notebook = handed_in
    bridge.RecordedResults.preprocess = as_it_is
    handback.write_gradebook = lambda course, name, records, _: write(course, name, records)
