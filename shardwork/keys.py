"""Content addresses: what a verdict depends on, as digests.

Two submissions, runs or machines with equal keys get equal verdicts, so nothing with a known key is
judged again. Points are not in a key: they are added up anew each time.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import platform
from pathlib import Path

import msgspec

from shardwork import __version__
from shardwork.course import Assignment, Course, Isolation
from shardwork.misconceptions import Misconceptions

# What a verdict depends on beside the grader and the submission: the engine's modules on the path
# from the rebuilt notebook to a verdict, and the libraries that student code meets.
_ENGINE = ("wire", "sandbox", "inside", "probes", "judge", "lab", "grading.py", "ingest.py",
           "notebookfile.py", "java.py", "spark_archive.py", "plaintext.py",
           "judging.py")  # fmt: skip
_LIBRARIES = ("pyspark", "dask", "distributed", "dask-ml", "scikit-learn", "torch", "numpy",
              "pandas", "pyarrow", "otter-grader", "jupyter-client", "ipykernel", "pytest",
              "msgspec")  # fmt: skip


def files_digest(root: Path | None) -> str:
    """Return the SHA-256 of the files that lie beside a notebook in the sandbox."""
    paths = (
        sorted(p for p in root.rglob("*") if p.is_file() and p.suffix != ".ipynb") if root else []
    )
    return digest({str(p.relative_to(root or p)): _file_digest(p) for p in paths})


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def environment_digest(assignment: Assignment, isolation: Isolation, seed: int) -> str:
    """Return the SHA-256 of everything that is the same for a whole batch."""
    return digest(
        {
            "engine": engine_digest(),
            "libraries": versions(),
            "isolation": isolation.value,
            "seed": seed,
            "limits": msgspec.to_builtins(assignment.limits),
            "cluster": msgspec.to_builtins(assignment.cluster),
        }
    )


def grader_digest(
    course: Course, assignment: str, exercise: str, misconceptions: Misconceptions
) -> str:
    """Return the SHA-256 of what judges an exercise.

    That is its grader, the modules beside it that it may import, and the codes it may name.
    """
    folder = course.graders / assignment
    paths = [folder / f"test_{exercise}.py"]
    paths += sorted(p for p in folder.glob("*.py") if not p.name.startswith("test_"))
    content = {path.name: path.read_text(encoding="utf-8") for path in paths if path.is_file()}
    return digest({"files": content, "codes": sorted(misconceptions.get(exercise, {}))})


@functools.cache
def engine_digest() -> str:
    """Return the SHA-256 of the engine's modules that a verdict depends on."""
    package = Path(__file__).parent
    paths = [p for part in _ENGINE for p in ([package / part] if part.endswith(".py")
             else sorted((package / part).rglob("*.py")))]  # fmt: skip
    return digest({str(p.relative_to(package)): p.read_text(encoding="utf-8") for p in paths})


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions that a record names: the engine's, Python's and the libraries'."""
    found = {
        "shardwork": __version__,
        "engine": engine_digest()[:16],
        "python": platform.python_version(),
    }
    found |= {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return found | {"horovod": _horovod()}


def _horovod() -> str:
    """Return the version of Horovod, or the module that stands for it (see `shardwork.lab.hvd`)."""
    try:
        return importlib.metadata.version("horovod")
    except importlib.metadata.PackageNotFoundError:
        return "shardwork.lab.hvd_gloo"


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
