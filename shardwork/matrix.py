"""The mutation matrix as a table that a person can read."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from shardwork.verify import Cell, Matrix, Row


def print_matrix(matrix: Matrix, console: Console) -> None:
    """Print one table for each exercise, then what differs, sentence by sentence."""
    for where in dict.fromkeys((row.assignment, row.exercise) for row in matrix.rows):
        rows = [row for row in matrix.rows if (row.assignment, row.exercise) == where]
        console.print(_table("/".join(where), rows))
    for sentence in matrix.missing:
        console.print(f"missing: {sentence}", markup=False)
    for row in matrix.rows:
        if row.problem:
            console.print(
                f"{row.assignment}/{row.exercise} {row.name}: {row.problem}", markup=False
            )
        for cell in row.cells:
            if cell.wrong:
                console.print(
                    f"{row.assignment}/{row.exercise} {row.name}, seed {cell.seed}: {cell.wrong}",
                    markup=False,
                )
    clean = sum(row.clean for row in matrix.rows)
    console.print(f"{clean} of {len(matrix.rows)} solutions are judged as they should be.")


def _table(title: str, rows: list[Row]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("solution")
    table.add_column("kind")
    table.add_column("points", justify="right")
    table.add_column("named")
    table.add_column("seeds", justify="right")
    table.add_column("verdict")
    for row in rows:
        points = sorted({cell.points for cell in row.cells})
        spread = (
            f"{points[0]:g}"
            if len(points) == 1
            else f"{points[0]:g} to {points[-1]:g}"
            if points
            else "-"
        )
        right = sum(cell.wrong is None for cell in row.cells)
        table.add_row(
            row.name, row.kind.value, f"{spread} of {row.max_points:g}", _named(row.cells),
            f"{right} of {len(row.cells)}", "ok" if row.clean else "WRONG",
            style=None if row.clean else "bold red",
        )  # fmt: skip
    return table


def _named(cells: tuple[Cell, ...]) -> str:
    return ", ".join(dict.fromkeys(code for cell in cells for code in cell.codes)) or "-"
