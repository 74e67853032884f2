"""What editors do to a notebook's file: metadata, outputs, counts, ids; the answers stay."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Iterator
from typing import Any

Notebook = dict[str, Any]


def _code(notebook: Notebook) -> Iterator[Notebook]:
    return (cell for cell in notebook["cells"] if cell["cell_type"] == "code")


def _jupyterlab(notebook: Notebook) -> None:
    notebook["metadata"] |= {
        "kernelspec": {
            "display_name": "Python 3 (ipykernel)",
            "language": "python",
            "name": "python3",
        },
        "language_info": {
            "codemirror_mode": {"name": "ipython", "version": 3},
            "file_extension": ".py",
            "mimetype": "text/x-python",
            "name": "python",
            "nbconvert_exporter": "python",
            "pygments_lexer": "ipython3",
            "version": "3.12.4",
        },
        "toc-autonumbering": True,
    }
    for count, cell in enumerate(_code(notebook), 1):
        cell["execution_count"] = count
        cell["metadata"] |= {
            "tags": [*cell["metadata"].get("tags", []), "mine"],
            "editable": True,
            "slideshow": {"slide_type": "slide"},
            "collapsed": False,
            "jupyter": {"outputs_hidden": False},
            "execution": {"iopub.execute_input": "2026-11-23T01:02:03.000000Z"},
        }


def _colab(notebook: Notebook) -> None:
    notebook["metadata"] |= {
        "colab": {
            "provenance": [{"file_id": "1AbC", "timestamp": 1700000000000}],
            "toc_visible": True,
        },
        "accelerator": "GPU",
    }
    notebook["nbformat_minor"] = 0
    for cell in notebook["cells"]:
        cell["metadata"] |= {
            "id": "Xy" + str(cell.get("id", "a")),
            "colab": {"base_uri": "https://localhost:8080/"},
            "outputId": "f0e1",
        }


def _colab_without_ids(notebook: Notebook) -> None:
    _colab(notebook)
    for cell in notebook["cells"]:
        cell.pop("id", None)


def _vscode(notebook: Notebook) -> None:
    notebook["metadata"] |= {
        "kernelspec": {"display_name": ".venv (3.11.2)", "language": "python", "name": "venv"},
        "vscode": {"interpreter": {"hash": "a" * 64}},
    }
    notebook["nbformat_minor"] = 2
    for cell in _code(notebook):
        cell["metadata"] |= {
            "vscode": {"languageId": "python"},
            "notebookRunGroups": {"groupValue": "1"},
        }


def _outputs_kept(notebook: Notebook) -> None:
    for count, cell in enumerate(_code(notebook), 1):
        cell["execution_count"] = 10 * count
        cell["outputs"] = [
            {"output_type": "stream", "name": "stdout", "text": ["All tests passed! 🎉\n"] * 20},
            {"output_type": "stream", "name": "stderr", "text": "FutureWarning: soon\n"},
            {
                "output_type": "execute_result",
                "execution_count": 10 * count,
                "metadata": {},
                "data": {"text/plain": "42"},
            },
            {
                "output_type": "error",
                "ename": "NameError",
                "evalue": "name 'x'",
                "traceback": ["\u001b[0;31mNameError\u001b[0m"],
            },
        ]


def _pictures_kept(notebook: Notebook) -> None:
    png = base64.b64encode(zlib.compress(bytes(range(256)) * 8, 0) * 250).decode()
    for cell in list(_code(notebook))[:6]:
        cell["outputs"] = [
            {
                "output_type": "display_data",
                "metadata": {},
                "data": {"image/png": png, "text/plain": "<Figure>"},
            }
        ]


def _widgets(notebook: Notebook) -> None:
    notebook["metadata"]["widgets"] = {
        "application/vnd.jupyter.widget-state+json": {
            "state": {
                f"{i:032x}": {
                    "model_module": "@jupyter-widgets/base",
                    "model_name": "LayoutModel",
                    "model_module_version": "2.0.0",
                    "state": {},
                }
                for i in range(200)
            },
            "version_major": 2,
            "version_minor": 0,
        }
    }


def _sources_as_lines(notebook: Notebook) -> None:
    for cell in notebook["cells"]:
        text = cell["source"]
        text = text if isinstance(text, str) else "".join(text)
        cell["source"] = text.splitlines(keepends=True)


def _sources_as_text(notebook: Notebook) -> None:
    for cell in notebook["cells"]:
        cell["source"] = (
            cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
        )


def _windows_lines(notebook: Notebook) -> None:
    _sources_as_text(notebook)
    for cell in _code(notebook):
        if not cell["metadata"].get("nbgrader", {}).get("locked"):
            cell["source"] = cell["source"].replace("\n", "\r\n")


def _trailing_space(notebook: Notebook) -> None:
    _sources_as_text(notebook)
    for cell in _code(notebook):
        if not cell["metadata"].get("nbgrader", {}).get("locked"):
            cell["source"] = "\n" + cell["source"].replace("\n", "  \n") + "\n\n\n"


def _tabs(notebook: Notebook) -> None:
    _sources_as_text(notebook)
    for cell in _code(notebook):
        if cell["metadata"].get("nbgrader", {}).get("solution"):
            cell["source"] = cell["source"].replace("    ", "\t")


def _notes(notebook: Notebook) -> None:
    text = "# 考察\n\n![figure](attachment:a.png) と $\\sum_i x_i$ と <b>HTML</b>\n\n- [ ] todo\n"
    note = {
        "cell_type": "markdown",
        "metadata": {},
        "source": text,
        "id": "note",
        "attachments": {"a.png": {"image/png": "iVBORw0KGgo="}},
    }
    raw = {
        "cell_type": "raw",
        "metadata": {"raw_mimetype": "text/latex"},
        "source": "\\alpha",
        "id": "raw",
    }
    notebook["cells"] = [note, *notebook["cells"], raw]


def _cells_moved(notebook: Notebook) -> None:
    cells = notebook["cells"]
    lesson = next(i for i, cell in enumerate(cells) if cell["cell_type"] == "markdown")
    cells.append(cells.pop(lesson))


def _long_comments(notebook: Notebook) -> None:
    _sources_as_text(notebook)
    comment = "".join(f"# {i}: ここで何をしているのかを説明します。\n" for i in range(400))
    for cell in _code(notebook):
        if cell["metadata"].get("nbgrader", {}).get("solution"):
            cell["source"] = comment + cell["source"]


def _lesson_edited(notebook: Notebook) -> None:
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = "My own notes about the lesson: 覚え書き\n"


def _newer_format(notebook: Notebook) -> None:
    notebook["nbformat_minor"] = 5
    notebook["metadata"]["title"] = "宿題"
    notebook["metadata"]["authors"] = [{"name": "Žofia 山田"}]
    for cell in notebook["cells"]:
        cell["metadata"]["heading_collapsed"] = True


EDITS: dict[str, Callable[[Notebook], None]] = {
    "saved by JupyterLab": _jupyterlab,
    "saved by Colab": _colab,
    "saved by Colab without cell ids": _colab_without_ids,
    "saved by VS Code": _vscode,
    "saved with outputs": _outputs_kept,
    "saved with pictures": _pictures_kept,
    "saved with widgets": _widgets,
    "saved with sources as lists of lines": _sources_as_lines,
    "saved with line ends of Windows": _windows_lines,
    "saved with trailing space": _trailing_space,
    "indented with tabs": _tabs,
    "has notes between the cells": _notes,
    "has its cells in another order": _cells_moved,
    "has long comments": _long_comments,
    "has its lessons annotated": _lesson_edited,
    "has a title and authors": _newer_format,
}
