"""Which cells of a rebuilt notebook need not run, because nothing that is judged depends on them.

Public checks bind nothing. A worked example is the course's own code: it matters only if the
student's code, or another cell that runs, uses a name that it binds. The names that code uses are
read from its symbol tables, and where it can reach names in other ways, every example runs.
Nothing of a notebook is executed here.
"""

from __future__ import annotations

import re
import symtable
import warnings
from typing import Any

from shardwork.notebook import Role, role

_OTHER_WAYS = re.compile(
    r"\b(globals|locals|vars|exec|eval|get_ipython|__main__|modules|__dict__|__globals__"
    r"|f_globals|currentframe|_getframe)\b"
)
MAX_CHARS = 1_000_000
"""More code than this is not read; every example of its notebook runs."""


def needless_cells(notebook: Any) -> frozenset[str]:
    """Return the ids of the code cells of a rebuilt notebook that may be left out.

    The student's cells may hold anything at all.
    """
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    needless = {str(cell.id) for cell in code if role(cell) is Role.TEST}
    used: set[str] = set()
    if sum(len(cell.source) for cell in code) > MAX_CHARS:
        return frozenset(needless)
    for cell in code:
        if role(cell) not in (Role.TEST, Role.EXAMPLE):
            table = _table(cell.source)
            if table is None or _OTHER_WAYS.search(cell.source):
                return frozenset(needless)
            used |= _used(table)
    for cell in reversed(code):
        if role(cell) is Role.EXAMPLE and (table := _table(cell.source)) is not None:
            if used.isdisjoint(_bound(table)):
                needless.add(str(cell.id))
            else:
                used |= _used(table)
    return frozenset(needless)


def _table(source: str) -> symtable.SymbolTable | None:
    """Return the symbol table of a cell; None if it is no plain Python, or too deep to be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the student's escape sequences
            return symtable.symtable(source, "<cell>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return None


def _bound(table: symtable.SymbolTable) -> set[str]:
    """Return the names that a cell binds in the notebook."""
    return {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}


def _used(table: symtable.SymbolTable) -> set[str]:
    """Return the names that a cell looks up in the notebook without having bound them itself."""
    at_top = {
        s.get_name() for s in table.get_symbols() if s.is_referenced() and not s.is_imported()
    }
    inside: set[str] = set()
    waiting = list(table.get_children())
    while waiting:
        block = waiting.pop()
        inside |= {s.get_name() for s in block.get_symbols() if s.is_global()}
        waiting += block.get_children()
    return at_top | (inside - _bound(table))
