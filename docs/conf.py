"""`make site`: the course as web pages, from the outputs stored in the notebooks; nothing is executed.

The README is the front page, and docs/ holds what it links to. Pages need no network: formulas and diagrams are drawn
by scripts that lie beside them.
"""

import html
import importlib.util
import json
import re
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from lecture17.course import predictions  # noqa: E402
from lecture17.course.notebooks import SCRIPT  # noqa: E402
from lecture17.course.progress import ZONES  # noqa: E402
from lecture17.widgets import SemiseparableExplorer, quiz  # noqa: E402
from lecture17.widgets.explorer import BUNDLE_FILE  # noqa: E402
from tests.npm import CannotFetch, fetch  # noqa: E402

MERMAID, MINISEARCH = "mermaid@11.17.2", "minisearch@7.2.0"
UNREAD = nodes.section, nodes.title, nodes.raw, nodes.comment  # by the search
NEEDS_A_KERNEL = re.compile(r"\bRun this cell\b[^<]*(?=</p>)|\n\n[^\n]*\b[Rr]un this cell\b[^\n]*")

project = "lecture17"
author = copyright = "The lecture17 authors"
extensions = ["myst_nb", "sphinx.ext.mathjax"]
root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "notebooks/*.ipynb", "exercises/*.ipynb"]
exclude_patterns = [".*", "build", "drafts", "lecture17", "solutions", "tests", "**/.ipynb_checkpoints"]
nitpicky = True
suppress_warnings = ["misc.highlighting_failure"]  # a "…" in a fence is what was left out of the code
highlight_language = "none"  # of fences that name none

nb_execution_mode = "off"
nb_merge_streams = True
nb_render_markdown_format = "myst"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
myst_fence_as_directive = ["mermaid"]
myst_links_external_new_tab = False

html_theme = "furo"
html_title = "lecture17"
html_static_path = ["static"]
html_css_files = ["site.css"]
templates_path = ["templates"]
html_additional_pages = {"index": "landing.html"}
html_copy_source = False
pygments_style, pygments_dark_style = "a11y-light", "a11y-dark"
mathjax_path = "mathjax/tex-svg.js"  # SVG: a browser that reads files from disk would refuse fonts


class Mermaid(SphinxDirective):
    """A diagram; its own `accTitle` and `accDescr` say in words what it shows."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        self.env.metadata[self.env.docname]["mermaid"] = True
        text = html.escape("\n".join(self.content))
        return [nodes.raw("", f'<pre class="mermaid">{text}</pre>', format="html")]


def question(cell: dict) -> dict | None:
    """What a cell asks, if it is a prediction or the quiz, as `questions.js` takes it."""
    source = "".join(cell["source"]).strip()
    if match := re.fullmatch(r'predict\("([^"]+)"\)', source):
        asked = predictions.get(match[1])
        parts = [{**asdict(part), "answer": part.answer()} for part in asked.parts]
        return {"id": asked.id, "parts": parts, "truth": f"{asked.truth} The next output shows it."}
    if source.endswith("widgets.Quiz()"):
        questions = [
            {
                "text": q.text,
                "answers": [answer for answer, _ in q.answers],
                "right": q.right,
                "verdicts": [quiz.verdict(q, k) for k in range(len(q.answers))],
            }
            for q in quiz.QUESTIONS
        ]
        return {"id": "quiz", "questions": questions}
    return None


def landing(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document | None) -> None:
    """What the front page shows: an explorer, and the zones with their notebooks, stars and minutes."""
    if pagename != "index":
        return
    heads = {}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        title, _, rest = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"]).partition("\n")
        heads[path.stem] = title.lstrip("# "), int(re.search(r"(\d+) minutes", rest)[1])
    context["zones"] = [
        {
            "name": name,
            "stars": stars,
            "level": f"{stars.count('★')} of 3 stars",
            "predictions": [name for stem in heads if stem.startswith(f"0{i}") for name in _predictions(stem)],
            "minutes": sum(minutes for stem, (_, minutes) in heads.items() if stem.startswith(f"0{i}")),
            "links": [
                {"page": f"notebooks/{stem}.html", "title": title.partition(" · ")[2] or title}
                for stem, (title, _) in heads.items()
                if stem.startswith(f"0{i}")
            ],
        }
        for i, (name, stars) in enumerate(ZONES.items())
    ]
    still = SCRIPT.sub("", SemiseparableExplorer().still()["text/html"])
    context["explorer"] = NEEDS_A_KERNEL.sub("", still)
    context["title"] = "State-space duality, by hand"
    app.add_js_file("explorers.js")


def _predictions(stem: str) -> list[str]:
    return list(predictions.of_notebook(stem)) if stem in predictions.stems() else []


def read_source(app: Sphinx, docname: str, source: list[str]) -> None:
    """Exercises as they were made, lectures without what needs a kernel; the front page lists all pages."""
    if docname.startswith("exercises/"):
        notebook = json.loads(source[0])
        for cell in notebook["cells"]:
            cell["source"] = cell["metadata"].get("lecture17", {}).get("stub", cell["source"])
            if cell["cell_type"] == "code":
                cell["outputs"] = []
        source[0] = json.dumps(notebook)
    elif docname.startswith("notebooks/"):
        notebook = json.loads(source[0])
        notebook["cells"] = [c for c in notebook["cells"] if not "".join(c["source"]).startswith("progress(")]
        for cell in notebook["cells"]:
            if asked := question(cell):
                asking = (
                    f'<div data-questions="{html.escape(json.dumps(asked))}"><p>Answering needs JavaScript.</p></div>'
                )
                cell["outputs"] = [{"output_type": "display_data", "metadata": {}, "data": {"text/html": asking}}]
            for data in (output.get("data", {}) for output in cell.get("outputs", ())):
                for kind in data.keys() & {"text/html", "text/markdown"}:
                    data[kind] = NEEDS_A_KERNEL.sub("", "".join(data[kind]))
            if cell["metadata"].get("jupyter", {}).get("outputs_hidden"):  # it answers a prediction
                cell["metadata"].setdefault("tags", []).append("hide-output")
                cell["outputs"] = [o for o in cell["outputs"] if o.get("data") != {}]  # what only JupyterLab needs
        source[0] = json.dumps(notebook)
    elif docname == root_doc:
        pages = sorted(app.env.found_docs - {root_doc})
        groups = {"Exercises": "exercises/", "Read more": "docs/", "About": ""}
        groups = {f"{i} · {zone}": f"notebooks/0{i}" for i, zone in enumerate(ZONES)} | groups
        for caption, start in groups.items():
            listed = [page for page in pages if page.startswith(start) and (start or "/" not in page)]
            source[0] += f"\n\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(listed) + "\n```"


def register_anchors(app: Sphinx, document: nodes.document) -> None:
    """Anchors written as <a id="…"> are targets of links from other pages."""
    slugs = app.env.metadata[app.env.docname].setdefault("myst_slugs", {})
    for raw in document.findall(nodes.raw):
        for name in re.findall(r'<a id="([^"]+)"', raw.astext()):
            slugs[name] = (raw.line, name, name)


def words(node: nodes.Node) -> str:
    """What the search reads below this node: neither outputs nor the sections within; formulas are left out."""
    if isinstance(node, nodes.Text):
        return node.astext()
    if isinstance(node, nodes.math | nodes.math_block):
        return "…"
    if isinstance(node, UNREAD) or "cell_output" in node.get("classes", ()):
        return ""
    return ("" if isinstance(node, nodes.TextElement) else " ").join(map(words, node.children))


def note_sections(app: Sphinx, document: nodes.document) -> None:
    """Keep the title, address and words of each section for the search."""
    page = app.env.docname
    sections = list(document.findall(nodes.section))
    app.env.metadata[page]["sections"] = [
        {
            "page": sections[0][0].astext(),
            "title": section[0].astext(),
            "address": f"{page}.html#{section['ids'][0]}",
            "text": " ".join(" ".join(map(words, section.children)).split()),
        }
        for section in sections
    ]


def unnoted(app: Sphinx, env: BuildEnvironment, *changes: set[str]) -> list[str]:
    """The pages that an older build has read without noting their sections."""
    return [page for page in env.found_docs if page in env.all_docs and "sections" not in env.metadata[page]]


def search(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document | None) -> str | None:
    """The template of the page that finds sections, where the library for it can be fetched; Sphinx finds pages."""
    return "sections.html" if pagename == "search" and fetched(MINISEARCH) else None


def fetched(package: str) -> Path | None:
    """The folder of a package of the npm registry, None if it could not be fetched."""
    try:
        return fetch(package, ROOT / "build" / "npm")
    except CannotFetch as reason:
        print(f"The pages do without {package}: {reason}")
        return None


def add_scripts(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document | None) -> None:
    if app.env.metadata.get(pagename, {}).get("mermaid"):
        app.add_js_file("mermaid.js")
    if doctree is not None and any("data-explorer" in raw.astext() for raw in doctree.findall(nodes.raw)):
        app.add_js_file("explorers.js")
    app.add_js_file("site.js", priority=900)
    app.add_js_file("questions.js", priority=900)


def copy_scripts(app: Sphinx, error: Exception | None) -> None:
    if error:
        return
    out = Path(app.outdir)
    mathjax = importlib.util.find_spec("sphinx-mathjax-offline").submodule_search_locations[0]
    (out / "_static" / "mathjax").mkdir(exist_ok=True)
    shutil.copy(Path(mathjax) / "static" / mathjax_path, out / "_static" / "mathjax")
    shutil.copy(BUNDLE_FILE, out / "_static")
    sections = [section for page in sorted(app.env.found_docs) for section in app.env.metadata[page]["sections"]]
    (out / "_static" / "sections.js").write_text(f"const lecture17Sections = {json.dumps(sections)};", encoding="utf-8")
    for package, file in {MERMAID: "dist/mermaid.min.js", MINISEARCH: "dist/umd/index.js"}.items():
        if folder := fetched(package):
            shutil.copy(folder / file, out / "_static" / f"{package.partition('@')[0]}.js")


def setup(app: Sphinx) -> None:
    app.add_directive("mermaid", Mermaid)
    app.connect("env-get-outdated", unnoted)
    app.connect("source-read", read_source)
    app.connect("doctree-read", register_anchors)
    app.connect("doctree-read", note_sections)
    app.connect("html-page-context", landing)
    app.connect("html-page-context", search)
    app.connect("html-page-context", add_scripts)
    app.connect("build-finished", copy_scripts)
