"""Pictures of a report, as SVG text: histogram, counts, stacked shares.

Drawn with matplotlib without a display and without global state. The same numbers give the same
bytes. Nothing is told by colour alone: bars carry their numbers, parts their hatching.
"""

from __future__ import annotations

import io
import unicodedata
import warnings
from collections.abc import Sequence
from typing import Any

from shardwork.plaintext import plain_line

INK = "#1b1f24"
SOFT = "#4a525c"
GRID = "#dfe3e8"
BAR = "#3d6f9e"
PARTS = (("#2f6f4f", ""), ("#d9b25f", "//"), ("#d3d8de", ""))
"""Colour and hatching of the parts of a bar: full, in part, none. Dark to light in print."""

WIDTH_INCH = 7.6
TEXT_POINTS = 9
LABEL_LIMIT_CHARS = 40


def histogram(bins: Sequence[tuple[float, float, int]], *, x_label: str, y_label: str) -> str:
    """Return bars over a number line. `bins` has low, high and count of each, side by side."""
    figure, axes = _axes(3.0)
    edges = [bins[0][0], *(high for _, high, _ in bins)]
    counts = [count for _, _, count in bins]
    drawn = axes.bar(
        edges[:-1], counts, width=[b - a for a, b, _ in bins], align="edge", color=BAR,
        edgecolor="white", linewidth=1.5,
    )  # fmt: skip
    axes.bar_label(drawn, [str(c) if c else "" for c in counts], padding=2, color=INK, fontsize=9)
    axes.set_xticks(edges, [f"{edge:.4g}" for edge in edges])
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, max(*counts, 1) * 1.15)
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.yaxis.grid(visible=True, color=GRID, linewidth=0.8)
    axes.set_xlabel(x_label, color=SOFT)
    axes.set_ylabel(y_label, color=SOFT)
    return _svg(figure)


def counts(rows: Sequence[tuple[str, float]], *, x_label: str) -> str:
    """Return a horizontal bar for each row, the first at the top, with its number at its end."""
    figure, axes = _axes(0.75 + 0.3 * len(rows))
    _make_room(figure, [name for name, _ in rows])
    drawn = axes.barh(range(len(rows)), [value for _, value in rows], height=0.68, color=BAR)
    axes.bar_label(drawn, [f"{value:.4g}" for _, value in rows], padding=4, color=INK, fontsize=9)
    axes.set_yticks(range(len(rows)), [_label(name) for name, _ in rows])
    axes.invert_yaxis()
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, (max((value for _, value in rows), default=0.0) or 1.0) * 1.12)
    if all(float(value).is_integer() for _, value in rows):
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.xaxis.grid(visible=True, color=GRID, linewidth=0.8)
    axes.set_xlabel(x_label, color=SOFT)
    return _svg(figure)


def stacked_shares(
    rows: Sequence[tuple[str, tuple[int, int, int]]],
    *,
    parts: tuple[str, str, str],
    means: Sequence[float],
    mean_label: str,
    x_label: str,
) -> str:
    """Return a bar for each row, divided into shares of its sum, with the row's mean marked.

    `means` are shares from 0 to 1, one for each row.
    """
    figure, axes = _axes(1.35 + 0.42 * len(rows))
    for y, (_, numbers) in enumerate(rows):
        left, total = 0.0, sum(numbers) or 1
        for number, (colour, hatch) in zip(numbers, PARTS, strict=True):
            share = number / total
            axes.barh(y, share, left=left, height=0.6, color=colour, hatch=hatch,
                      edgecolor="white", linewidth=1.0)  # fmt: skip
            if number:
                text = axes.text(left + share / 2, y, str(number), ha="center", va="center",
                                 fontsize=9, color=INK)  # fmt: skip
                text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1.5})
            left += share
    axes.plot(means, [y - 0.36 for y in range(len(rows))], linestyle="none", marker="v",
              markersize=8, color=INK, label=mean_label, clip_on=False, zorder=5)  # fmt: skip
    axes.set_yticks(range(len(rows)), [_label(name) for name, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.65)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axes.set_xlabel(x_label, color=SOFT)
    keys = [_key(colour, hatch, name) for (colour, hatch), name in zip(PARTS, parts, strict=True)]
    handles = [*keys, *axes.get_legend_handles_labels()[0]]
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=4,
                frameon=False, fontsize=9, borderaxespad=0.2, handlelength=1.6)  # fmt: skip
    return _svg(figure)


def _axes(height_inch: float) -> tuple[Any, Any]:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_INCH, max(height_inch, 1.2)), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(SOFT)
    axes.tick_params(colors=INK, length=0, labelsize=TEXT_POINTS)
    axes.set_axisbelow(True)
    return figure, axes


def _make_room(figure: Any, names: Sequence[str]) -> None:
    """Set the margins by hand: matplotlib measures with a font that lacks many scripts."""
    width, height = figure.get_size_inches()
    longest = max((sum(_ems(c) for c in _label(name)) for name in names), default=0)
    figure.set_layout_engine(None)
    figure.subplots_adjust(
        left=min((longest * TEXT_POINTS / 72 + 0.15) / width, 0.6),
        right=0.98,
        top=1 - 0.08 / height,
        bottom=0.5 / height,
    )


def _ems(character: str) -> float:
    """Return how wide a character is at most, in the font's size."""
    return 1.05 if unicodedata.east_asian_width(character) in "WF" else 0.68


def _key(colour: str, hatch: str, label: str) -> Any:
    from matplotlib.patches import Patch

    return Patch(facecolor=colour, hatch=hatch, edgecolor="white", label=label)


def _label(text: str) -> str:
    """Make a name fit, and keep matplotlib from reading `$` as mathematics."""
    return plain_line(text, LABEL_LIMIT_CHARS).replace("$", r"\$")


def _svg(figure: Any) -> str:
    import matplotlib as mpl

    written = io.StringIO()
    # Text stays text: the reader's browser has the fonts for every language, this machine may not.
    with (
        warnings.catch_warnings(),
        mpl.rc_context(
            {"svg.fonttype": "none", "svg.hashsalt": "shardwork", "font.family": ["sans-serif"]}
        ),
    ):
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    return written.getvalue()
