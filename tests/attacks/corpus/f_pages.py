"""F: links out of the submission's folder; active content for whoever looks at the results."""

from __future__ import annotations

import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from tests.attacks.course import RIGHT
from tests.attacks.kit import Attack, Submission, Win
from tests.attacks.scene import Scene, Seen

_SHOWS = {"button", "iframe", "object", "embed", "form", "input", "base", "link", "meta", "script",
          "svg", "math", "video", "audio", "img", "style", "template", "noscript", "a"}  # fmt: skip
_ACTIVE = re.compile(r"\s*(?:javascript|vbscript|data(?!:image/(?:png|jpeg)))\s*:", re.IGNORECASE)
_OVERRIDES = frozenset({0x202D, 0x202E, 0x2066, 0x2067})
MARKER = "swmarker"
"""Stands in every piece of active content that the attacks write."""


class _Reader(HTMLParser):
    """Collects the elements that carry the marker where it could run, load or redress a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag if tag in ("script", "style") else ""
        for name, value in attrs:
            text = value or ""
            marked = MARKER in text or MARKER in name
            acts = tag in _SHOWS or name.startswith("on") or name in ("style", "srcdoc")
            if marked and (acts or _ACTIVE.match(text)):
                self.found.append(f"<{tag} {name}={text[:60]!r}>")

    def handle_data(self, data: str) -> None:
        if self._inside and MARKER in data:
            self.found.append(f"inside <{self._inside}>")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_comment(self, data: str) -> None:
        if MARKER in data and data.lstrip().startswith("[if"):
            self.found.append("a conditional comment")


def active_in(page: str) -> list[str]:
    """Return the places of a page where what carries the marker is more than text."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader.found


def _active(seen: Seen) -> list[tuple[Win, str]]:
    """Find active content in what is shown as HTML: our pages, and notebooks on their way there."""
    found = []
    for where, data in seen.batch.shown(seen.attack.student).items():
        text = data.decode("utf-8", "replace")
        if where.endswith(".ipynb"):
            text = _as_page(text)
        elif not where.endswith(".html") and not where.startswith("page"):
            continue
        found += [(Win.ESC, f"{place} in {where}") for place in active_in(text)]
    return found


def _as_page(notebook: str) -> str:
    """Return the page that nbgrader's formgrader would make of an autograded notebook."""
    import nbformat
    from nbconvert import HTMLExporter

    from shardwork.sanitizer import Sanitized, safe_markdown

    exporter = HTMLExporter(template_name="classic", filters={"markdown2html": safe_markdown})
    exporter.register_preprocessor(Sanitized(), enabled=True)
    page: str = exporter.from_notebook_node(nbformat.reads(notebook, as_version=4))[0]
    return page


def _controls(data: bytes) -> bool:
    """Whether bytes for a terminal hold more than text: ESC, the C1 codes, BEL, BS, overrides."""
    text = data.decode("utf-8", "replace")
    return any(
        (ord(c) < 32 and c not in "\n\r\t") or 0x7F <= ord(c) < 0xA0 or ord(c) in _OVERRIDES
        for c in text
    )


def _raw(seen: Seen) -> list[tuple[Win, str]]:
    """Find control characters on the terminal, and in the notebook and record of the attack."""
    found = []
    lines = [line for line in seen.batch.console.split(b"\n") if _controls(line)]
    found += [(Win.ESC, f"on the terminal: {line[:100]!r}") for line in lines[:3]]
    for where, data in seen.batch.shown(seen.attack.student).items():
        if b"\x1b" in data or b"\xc2\x9b" in data:
            found.append((Win.ESC, f"a control character in {where}"))
    return found


def _instead(*target: str) -> Any:
    """Return a `prepare` that puts a link to a file of the course in place of the notebook."""

    def prepare(folder: Path, scene: Scene) -> None:
        course = folder.parents[2]
        path = folder / "plain.ipynb"
        path.unlink()
        path.symlink_to(os.path.relpath(course.joinpath(*target), folder))

    return prepare


def _same_file(folder: Path, scene: Scene) -> None:
    path = folder / "plain.ipynb"
    path.unlink()
    path.hardlink_to(folder.parents[2] / "source/plain/plain.ipynb")


def _folder_is_link(folder: Path, scene: Scene) -> None:
    shutil.rmtree(folder)
    folder.symlink_to(folder.parents[1] / f"{folder.parent.name}-peer" / "plain")


def _more_links(folder: Path, scene: Scene) -> None:
    course = folder.parents[2]
    for name, target in (
        ("tests", course / "graders"), ("data", course), ("other", course / "submitted"),
        ("home", scene.home), ("root", Path("/")), ("gradebook.db", course / "gradebook.db"),
        ("plain.txt", course / "graders/plain/test_product.py"), ("loop", folder),
    ):  # fmt: skip
        (folder / name).symlink_to(target)


_READS_LINKS = r"""
import glob
for path in (*glob.glob("*"), *glob.glob("*/*"), *glob.glob("*/*/*"), *glob.glob("../*/*")):
    try:
        with open(path, "rb") as file:
            found(file.read(1 << 20))
    except OSError:
        pass
print(FOUND)
"""
_HTML = f"""
<script>document.title="{MARKER}"</script><img src=x onerror="{MARKER}()">
<svg onload="{MARKER}()"><a xlink:href="javascript:{MARKER}()">x</a></svg>
<iframe srcdoc="<script>{MARKER}</script>"></iframe><iframe src="https://{MARKER}.example"></iframe>
<a href="java&#10;script:{MARKER}()">x</a> <a href="data:text/html,{MARKER}">y</a>
<form action="https://{MARKER}.example"><button formaction="javascript:{MARKER}()">z</button></form>
<math><mtext><style><img src=x onerror={MARKER}()></style></mtext></math>
<noscript><p title="</noscript><img src=x onerror={MARKER}()>"></noscript>
<style>@import url(https://{MARKER}.example)</style><base href="https://{MARKER}.example">
<meta http-equiv=refresh content="0;url=https://{MARKER}.example"><link rel=stylesheet
href="https://{MARKER}.example"><object data="https://{MARKER}.example"></object>
<details open ontoggle={MARKER}()><div style="position:fixed;background:url(https://{MARKER}.x)">
</textarea></title></script><!--[if gte IE 4]>{MARKER}<![endif]--><x onclick="{MARKER}()">
{{{{ {MARKER} }}}} {{% {MARKER} %}} ${{{MARKER}}}
"""
_SHOWS_HTML = f"""
from IPython.display import HTML, SVG, Javascript, Markdown, display
HOSTILE = {_HTML!r}
print(HOSTILE)
display(HTML(HOSTILE), Markdown(HOSTILE), Javascript("{MARKER}()"), {{"text/html": HOSTILE}})
display({{"text/plain": HOSTILE, "application/javascript": "{MARKER}()", "image/svg+xml":
         "<svg xmlns='http://www.w3.org/2000/svg' onload='{MARKER}()'></svg>",
         "text/latex": HOSTILE, "application/vnd.jupyter.widget-view+json": {{"model_id":
         HOSTILE}}}}, raw=True)
class Odd:
    def __repr__(self):
        return HOSTILE
    _repr_html_ = __repr__
Odd()
"""
_RAISES_HTML = (
    f"HOSTILE = {_HTML!r}\n"
    "def label(first, last):\n    raise type(HOSTILE[:90], (Exception,), {})(HOSTILE)"
)


def _hostile_notebook(notebook: dict[str, Any]) -> None:
    """Put markup wherever a notebook has a text, the written answer first."""
    for cell in notebook["cells"]:
        if cell["id"] == "opinion":
            cell["source"] = _HTML + f"\n[x](javascript:{MARKER}()) ![x](javascript:{MARKER}())\n"
            cell["source"] += f"[y]: javascript:{MARKER}()\n[z][y] <javascript:{MARKER}()>"
            cell["attachments"] = {f"{MARKER}.svg": {"image/svg+xml": _HTML}}
    more = {"cell_type": "markdown", "id": f"x{MARKER}", "metadata": {"tags": [_HTML]},
            "source": _HTML}  # fmt: skip
    notebook["cells"].append(more)
    raw = {"cell_type": "raw", "id": "raw-cell", "metadata": {"format": "text/html"},
           "source": _HTML}  # fmt: skip
    notebook["cells"].append(raw)
    notebook["metadata"]["title"] = _HTML
    notebook["metadata"]["authors"] = [{"name": _HTML}]
    notebook["metadata"]["kernelspec"]["display_name"] = _HTML
    notebook["metadata"]["shardwork"]["language"] = _HTML


_CODES = "\\x1b[2J\\x1b]0;owned\\x07\\x1b]8;;http://x\\x1b\\\\x\\x9b31m\\x08\\u202e\\x1b[8m"
_TERMINAL = (
    f'CODES = "{_CODES}"\nimport sys, warnings\nprint(CODES)\nprint(CODES, file=sys.stderr)\n'
    "warnings.warn(CODES)\nclass Odd:\n    def __repr__(self):\n        return CODES\nOdd()"
)
_TERMINAL_RAISES = (
    f'def label(first, last):\n    codes = "{_CODES}"\n'
    "    raise type(codes, (ValueError,), {})(codes)"
)
_TERMINAL_CELL = f'raise ValueError("{_CODES}")'
_TERMINAL_DIES = (
    f'import os\nos.write(2, "{_CODES}".encode())\nfor fd in range(3, 60):\n    try:\n'
    f'        os.set_blocking(fd, False)\n        os.write(fd, b"\\x1b[2J")\n'
    "    except OSError:\n        pass\nos._exit(1)"
)
_REAL_CODES = _CODES.encode().decode("unicode_escape")


def _names_of_codes(notebook: dict[str, Any]) -> None:
    for cell in notebook["cells"]:
        cell["metadata"].setdefault("nbgrader", {})["points"] = _REAL_CODES
        if cell["id"].startswith("test_"):
            cell["metadata"]["nbgrader"]["grade_id"] = f"x{_REAL_CODES}"
    notebook["metadata"]["shardwork"]["language"] = _REAL_CODES


def _other_assignment(notebook: dict[str, Any]) -> None:
    notebook["metadata"]["shardwork"]["assignment"] = _REAL_CODES


def _files_of_codes(folder: Path, scene: Scene) -> None:
    for name in (_REAL_CODES.replace("/", "|"), "\x1b[31m.ipynb", "a\nb.ipynb", "<img src=x>.txt"):
        (folder / name).write_bytes(b"{}")
        (folder.parent / name).mkdir()
    (folder / "plain.ipynb").unlink()


_STOLEN = {Win.SCORE, Win.PROOF, Win.LEAK}
_RIGHT_PEER = {"peer": Submission(RIGHT)}

ATTACKS = [
    Attack(
        id="F07", sample=True, title="hands in a link to another student's notebook",
        wins=_STOLEN, victims=_RIGHT_PEER,
        submission=Submission(
            prepare=_instead("submitted", "m-f07-peer", "plain", "plain.ipynb")
        ),
    ),
    Attack(
        id="F07b", title="hands in a link to the instructor's notebook",
        wins=_STOLEN,
        submission=Submission(prepare=_instead("source", "plain", "plain.ipynb")),
    ),
    Attack(
        id="F07c", title="hands in the instructor's notebook by a second name of the same file",
        wins=_STOLEN, submission=Submission(prepare=_same_file),
    ),
    Attack(
        id="F07d", title="has a link for a folder: another student's",
        wins=_STOLEN, victims=_RIGHT_PEER, submission=Submission(prepare=_folder_is_link),
    ),
    Attack(
        id="F07f", title="has links to graders, gradebook, home and root beside its notebook",
        wins=_STOLEN, submission=Submission(before=(_READS_LINKS,), prepare=_more_links),
    ),
    Attack(
        id="F07g", title="hands in a link to a grader, which is no notebook",
        wins=_STOLEN,
        submission=Submission(prepare=_instead("graders", "plain", "test_product.py")),
    ),
    Attack(
        id="F10", sample=True, detect=_active, title="writes active content into its texts",
        wins={Win.ESC}, submission=Submission(edit=_hostile_notebook),
    ),
    Attack(
        id="F10b", detect=_active, title="prints, displays and returns active content",
        wins={Win.ESC}, submission=Submission(before=(_SHOWS_HTML,)),
    ),
    Attack(
        id="F10c", detect=_active, title="raises exceptions with active content, also in the name",
        wins={Win.ESC},
        submission=Submission({"label": _RAISES_HTML}, after=(_RAISES_HTML, "label(1, 2)")),
    ),
    Attack(
        id="F14", sample=True, detect=_raw, title="prints and raises codes for the terminal",
        wins={Win.ESC},
        submission=Submission({"label": _TERMINAL_RAISES}, before=(_TERMINAL, _TERMINAL_CELL)),
    ),
    Attack(
        id="F14b", detect=_raw, title="ends with codes for the terminal as its last words",
        wins={Win.ESC}, submission=Submission(after=(_TERMINAL_DIES,)),
    ),
    Attack(
        id="F14c", detect=_raw, title="has codes for the terminal in metadata that is noticed",
        wins={Win.ESC}, submission=Submission(edit=_names_of_codes),
    ),
    Attack(
        id="F14d", detect=_raw, title="says that it is for an assignment with codes for its name",
        wins={Win.ESC}, submission=Submission(edit=_other_assignment),
    ),
    Attack(
        id="F14e", detect=_raw, title="has files whose names are codes for the terminal",
        wins={Win.ESC}, submission=Submission(RIGHT, prepare=_files_of_codes),
    ),
]  # fmt: skip
