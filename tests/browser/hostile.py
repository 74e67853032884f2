"""Active content of every kind that a notebook or a record can carry, each with a name."""

from __future__ import annotations

from typing import Any

SINK = "sink.invalid"
"""A host that a payload may try to tell something."""


def payload(name: str) -> str:
    """Return JavaScript that leaves its name behind, in the page that shows it."""
    return f"(top.ran=top.ran||[]).push('{name}')"


def script(name: str) -> str:
    return f"<script>{payload(name)}</script>"


def picture(name: str) -> str:
    return f'<img src="x:x" onerror="{payload(name)}">'


def words(name: str) -> str:
    """Return a text with every way to begin HTML: element, attribute, comment, entity, template."""
    return (
        f"</pre></textarea></title></style>--></code>{script(name)}{picture(name)}"
        f"\"'><svg onload=\"{payload(name)}\"></svg>"
        f"<a href=\"javascript:{payload(name)}\">link</a>"
        f"<iframe srcdoc=\"<script>parent.{payload(name)}</script>\"></iframe>"
        f"<link rel=stylesheet href=http://{SINK}/{name}.css>{{{{7*7}}}}"
    )  # fmt: skip


def notebook(source: dict[str, Any], *, marks_too: bool = True) -> dict[str, Any]:
    """Return a copy of a notebook with active content wherever one can be put.

    Each carries its own name, so the detector can say which of them ran. `marks_too` puts some into
    nbgrader's own marks, with which nbgrader makes no feedback page at all.
    """
    number = {"nbformat": 4, "nbformat_minor": 5}
    cells = [dict(cell) for cell in source["cells"]]
    for cell in cells:
        marks = cell["metadata"].get("nbgrader", {})
        if marks_too and marks.get("grade_id") == "key_stats":
            cell["metadata"] = {
                "nbgrader": {**marks, "grade_id": f'key_stats">{picture("grade_id")}'}
            }
    markdown = [
        script("markdown script"),
        picture("markdown picture"),
        f'<svg onload="{payload("markdown svg")}"></svg>',
        f"[link](javascript:{payload('markdown-link').replace('(', '%28').replace(')', '%29')})",
        f'<iframe srcdoc="{script("markdown frame")}"></iframe>',
        f"![beacon](http://{SINK}/beacon.png)",
        f'<details open ontoggle="{payload("markdown event")}">x</details>',
        f'<form><button formaction="javascript:{payload("button")}">x</button></form>',
        f'<!--><img src=x:x onerror="{payload("comment")}">-->',
        f"<img src='x:x' onerror=\"{payload('no end')}\" ",
    ]
    cells += [_cell("markdown", text) for text in markdown]
    broken_out = {"image/png": f'x" onerror="{payload("attachment")}'}
    cells.append(_cell("markdown", "![a](attachment:a.png)", attachments={"a.png": broken_out}))
    cells.append(_cell("raw", script("raw"), metadata={"raw_mimetype": "text/html"}))
    data: list[dict[str, Any]] = [
        {"text/html": script("html output") + picture("html picture")},
        {"text/html": f'<base href="http://{SINK}/"><object data="http://{SINK}/o"></object>'},
        {"application/javascript": payload("javascript output")},
        {"image/svg+xml": f'<svg xmlns="http://www.w3.org/2000/svg" onload="{payload("svg")}"/>'},
        {"text/markdown": picture("markdown output")},
        {"text/latex": f"$\\href{{javascript:{payload('latex')}}}{{x}}$" + script("latex")},
        {"text/plain": words("plain output")},
        {"application/vnd.jupyter.widget-view+json": {"model_id": f"</script>{script('widget')}"}},
    ]
    outputs: list[dict[str, Any]] = [
        {"output_type": "display_data", "data": one, "metadata": {}} for one in data
    ]
    outputs += [
        {
            "output_type": "display_data",
            "data": {"image/png": "iVBORw0KGgo="},
            "metadata": {"image/png": {"width": f'1" onerror="{payload("width")}', "height": 1}},
        },
        {"output_type": "stream", "name": "stdout", "text": words("stdout")},
        {
            "output_type": "error",
            "ename": words("ename"),
            "evalue": words("evalue"),
            "traceback": [words("traceback")],
        },
    ]
    cells.append(_cell("code", words("code"), outputs=outputs))
    metadata = {
        **source["metadata"],
        "title": words("title"),
        "widgets": {
            "application/vnd.jupyter.widget-state+json": {
                "version_major": 2,
                "version_minor": 0,
                "state": {"a": {"model_name": f"</script>{script('widget state')}"}},
            }
        },
    }
    return {**number, "metadata": metadata, "cells": cells}


RUNS_UNDEFENDED = {
    # Tried in Chromium 156 with nbconvert 7.17 and nbgrader 0.9.6, each without our sanitizer.
    "markdown script", "markdown picture", "markdown svg", "markdown-link", "markdown frame",
    "markdown event", "comment", "html output", "html picture", "javascript output",
    "markdown output",
}  # fmt: skip


def _cell(kind: str, source: str, **fields: Any) -> dict[str, Any]:
    if kind == "code":
        fields = {"outputs": [], "execution_count": None} | fields
    return {"cell_type": kind, "source": source, "metadata": {}} | fields
