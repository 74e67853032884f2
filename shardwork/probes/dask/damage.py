"""Damage the data of a Parquet dataset and leave its footers whole.

Who reads what is damaged gets an error, and who does not never notices. So a result that is right
proves that the damaged part was not read, whatever Dask's plan says of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shardwork.probes.server import question

_whole: dict[Path, bytes] = {}
"""Files as they were before they were damaged."""


@question("dask.damage_parquet")
def damage_parquet(folder: str, columns: list[str] | None, outside: list[Any] | None) -> int:
    """Overwrite column chunks of all files; return how many.

    Those of `columns` (None: of all), and, if `outside` is [column, low, high], only in row groups
    that hold no row with low <= column <= high.
    """
    import pyarrow.parquet as pq

    damaged = 0
    for path in sorted(Path(folder).glob("*.parquet")):
        content = bytearray(path.read_bytes())
        _whole.setdefault(path, bytes(content))
        footer = pq.ParquetFile(path).metadata
        for number in range(footer.num_row_groups):
            group = footer.row_group(number)
            chunks = {
                chunk.path_in_schema: chunk for chunk in map(group.column, range(group.num_columns))
            }
            if outside is not None:
                column, low, high = outside
                found = chunks[column].statistics
                if found.max >= low and found.min <= high:
                    continue
            for name, chunk in chunks.items():
                if columns is not None and name not in columns:
                    continue
                begin = min(p for p in (chunk.dictionary_page_offset, chunk.data_page_offset) if p)
                size = chunk.total_compressed_size
                content[begin : begin + size] = b"\xff" * size
                damaged += 1
        path.write_bytes(content)
    return damaged


@question("dask.repair_parquet")
def repair_parquet(folder: str) -> None:
    """Put every file of the folder back as it was before it was first damaged."""
    for path in [path for path in _whole if path.parent == Path(folder)]:
        path.write_bytes(_whole.pop(path))
