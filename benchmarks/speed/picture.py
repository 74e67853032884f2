"""A result as a picture: submissions a minute by tool, and where Shardwork's time goes."""

from __future__ import annotations

import io
from typing import Any

from benchmarks.speed.figures import Part, Report, Tool
from benchmarks.speed.tables import submissions_of

INK = "#1b1f24"
TOOLS = {
    Tool.SHARDWORK: ("Shardwork", "#3d6f9e", ""),
    Tool.NBGRADER: ("nbgrader autograde", "#d9b25f", "//"),
    Tool.OTTER: ("otter run", "#d3d8de", ".."),
}
"""Name, colour and hatching."""
GROUPS = {
    "once for the batch": (Part.COMMAND, Part.INGEST, Part.START),
    "cluster start": (Part.CLUSTER,),
    "notebook": (Part.NOTEBOOK,),
    "judging": (Part.JUDGING,),
    "records, waiting for a sandbox": (Part.RECORDS, Part.IDLE),
    "gradebook, feedback, report": (Part.GRADEBOOK, Part.FEEDBACK, Part.REPORT),
}
_LOOKS = (("#8c96a3", ""), ("#d9b25f", "//"), ("#3d6f9e", ""),
          ("#a9c4dd", "\\\\"), ("#ffffff", ""), ("#d3d8de", ".."))  # fmt: skip
_WIDTH = 0.27


def draw(report: Report) -> str:
    """Return the picture as SVG; the same report gives the same bytes."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    style = {"svg.hashsalt": "shardwork", "svg.fonttype": "none", "font.size": 9,
             "font.family": "sans-serif", "hatch.linewidth": 0.6}  # fmt: skip
    with mpl.rc_context(style):
        figure = Figure(figsize=(7.6, 6.4), layout="constrained", facecolor="white")
        canvas = FigureCanvasSVG(figure)
        above, below = figure.subplots(2, 1, height_ratios=(3, 2))
        _rates(above, report)
        _where(below, report)
        text = io.StringIO()
        canvas.print_svg(text, metadata={"Date": None})
    return text.getvalue()


def _rates(axes: Any, report: Report) -> None:
    names = list(dict.fromkeys(run.assignment for run in report.runs))
    rates = [run.per_minute for run in report.runs]
    for place, (tool, (label, colour, hatch)) in enumerate(TOOLS.items()):
        runs = [run for run in report.runs if run.tool is tool]
        drawn = axes.bar(
            [names.index(run.assignment) + (place - 1) * _WIDTH for run in runs],
            [run.per_minute for run in runs],
            _WIDTH, label=label, color=colour, hatch=hatch, edgecolor=INK, linewidth=0.6,
        )  # fmt: skip
        axes.bar_label(drawn, [f"{run.per_minute:.1f}" for run in runs], padding=2)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.set_ylim(min(rates) / 2, max(rates) * 2)
    axes.set_xticks(range(len(names)), names)
    axes.set_ylabel("submissions a minute\n(logarithmic scale: bars have no zero)")
    cores, students = report.machine["cores"], max(submissions_of(report).values(), default=0)
    axes.set_title(
        f"A class of {students} on {cores} cores. Stock tools run the public checks, one submission"
        "\nafter another; Shardwork runs them and the hidden graders, in sandboxes.",
        loc="left", fontsize=9,
    )  # fmt: skip
    axes.legend(loc="upper left", ncols=3, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def _where(axes: Any, report: Report) -> None:
    students = submissions_of(report)
    names = [one.assignment for one in report.where]
    ends = [0.0] * len(names)
    for (label, parts), (colour, hatch) in zip(GROUPS.items(), _LOOKS, strict=True):
        widths = [
            sum(one.seconds[part.value] for part in parts) / students[one.assignment]
            for one in report.where
        ]
        axes.barh(names, widths, left=ends, height=0.6, label=label, color=colour, hatch=hatch,
                  edgecolor=INK, linewidth=0.6)  # fmt: skip
        ends = [end + width for end, width in zip(ends, widths, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("Shardwork: wall seconds a submission (linear scale)")
    axes.figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False,
        fontsize=8,
    )  # fmt: skip
    axes.spines[["top", "right"]].set_visible(False)
