"""Tables on disk: what files a folder or a table of the catalog has, and how many rows each."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from shardwork import lab
from shardwork.lab.spark_session import scratch_folder
from shardwork.probes.server import question

MAX_FILES = 10_000


@question("spark.folder")
def folder() -> str:
    """Return a path below the session's own folder at which there is nothing yet."""
    return str(Path(tempfile.mkdtemp(prefix="table-", dir=scratch_folder())) / "table")


@question("spark.folder_files")
def folder_files(path: str) -> list[dict[str, Any]]:
    """Describe the data files below a folder; those that Spark hides (`_`, `.`) are left out."""
    root = Path(path)
    found = []
    for file in sorted(root.rglob("*")):
        parts = file.relative_to(root).parts
        if file.is_file() and not any(part.startswith(("_", ".")) for part in parts):
            found.append(_describe(file, root))
        if len(found) > MAX_FILES:
            raise ValueError(f"more than {MAX_FILES} files")
    return found


@question("spark.table_files")
def table_files(table: str) -> list[dict[str, Any]]:
    """Describe the data files of a table of the catalog."""
    paths = [Path(unquote(urlparse(uri).path)) for uri in lab.spark().table(table).inputFiles()]
    return [_describe(path, path.parent) for path in sorted(paths)]


@question("spark.read")
def read(path: str) -> Any:
    """Return a DataFrame of the Parquet table at `path`; partition columns stay text."""
    session = lab.spark()
    name = "spark.sql.sources.partitionColumnTypeInference.enabled"
    before = session.conf.get(name)
    session.conf.set(name, "false")
    try:
        return session.read.parquet(path)
    finally:
        session.conf.set(name, str(before))


@question("spark.table")
def table(name: str) -> Any:
    """Return a DataFrame of a table of the catalog."""
    return lab.spark().table(name)


@question("spark.group_counts")
def group_counts(frame: Any, key: str) -> Any:
    """Return the DataFrame that counts the rows of each value of `key`; runs nothing."""
    return frame.groupBy(key).count()


def _describe(file: Path, root: Path) -> dict[str, Any]:
    import pyarrow.parquet as pq

    rows = pq.read_metadata(file).num_rows if file.suffix == ".parquet" else None
    directory = file.parent.relative_to(root).as_posix()
    return {"directory": directory, "name": file.name, "rows": rows}
