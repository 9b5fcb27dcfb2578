"""`make site`: built without a warning, every link leads somewhere, and the pages are right in a browser, offline."""

import itertools
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from playwright.sync_api import Browser, expect

from lecture17.course.notebooks import read
from lecture17.widgets import SemiseparableExplorer
from lecture17.widgets.quiz import QUESTIONS, verdict
from tests.conftest import ROOT
from tests.npm import missing

from .lab import ExplorerOnPage

NOTEBOOKS, EXERCISES = (sorted((ROOT / folder).glob("*.ipynb")) for folder in ("notebooks", "exercises"))
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = ["index.html", *(f"{path.parent.name}/{path.stem}.html" for path in (*NOTEBOOKS, *EXERCISES, *DOCS))]

# Formulas are MathJax's own, thousands of elements a page: a word stands for each. Files are not fetched by scripts.
AXE_RUN = """async () => {
  document.querySelectorAll("mjx-container").forEach((formula) => formula.replaceChildren("formula"));
  return (await axe.run({ preload: false })).violations;
}"""


class Parsed(HTMLParser):
    """A page's anchors, what it links to, and what it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = {"", "top"}
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.anchors.add(value or "")
            elif tag == "a" and name == "href":
                self.links.append(value or "")
            elif name in ("src", "href"):
                self.loads.append(value or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the Makefile's command builds, in a folder of its own."""
    command = re.search(r"\$\(BIN\)/python (-m sphinx .*) \$\(ARGS\)", (ROOT / "Makefile").read_text())
    assert command is not None
    assert command[1].startswith("-m sphinx -W ")
    built = tmp_path_factory.mktemp("site")
    arguments = shlex.split(command[1].replace("build/", f"{built}/"))
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return built / "site"


def broken(site: Path) -> list[str]:
    """Links and parts of pages that lead nowhere, or out of the site without being asked."""
    pages = {path.resolve(): Parsed(path) for path in site.rglob("*.html")}
    faults = []
    for path, page in pages.items():
        for target in (*page.links, *page.loads):
            if re.match(r"https?://|data:", target):
                if target in page.loads and not target.startswith("data:"):
                    faults.append(f"{path.name} loads {target}")
                continue
            name, _, anchor = unquote(target).partition("#")
            goal = (path.parent / name.partition("?")[0]).resolve() if name else path
            if not goal.exists() or (goal in pages and anchor not in pages[goal].anchors):
                faults.append(f"{path.name} links to {target}")
    return faults


def test_every_link_and_anchor_leads_somewhere_and_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    assert broken(site) == []


def test_a_broken_link_would_be_noticed(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<a href="b.html#there">1</a> <a href="b.html#gone">2</a> <a href="c.html">3</a>')
    (tmp_path / "b.html").write_text('<p id="there"><script src="https://example.org/x.js"></script>')
    faults = ["a.html links to b.html#gone", "a.html links to c.html", "b.html loads https://example.org/x.js"]
    assert sorted(broken(tmp_path)) == faults


def test_links_of_the_course_are_links_of_the_site(site: Path) -> None:
    pages = ("notebooks/01_tour.html", "README.html", "docs/corrections.html")
    tour, readme, corrections = (Parsed(site / name).links for name in pages)
    assert "03a_semiseparable.html#notation" in tour
    assert "../exercises/01_tour.html" in tour
    assert "../notebooks/03b_duality.html#correction-1" in corrections
    assert {f"docs/{path.stem}.html" for path in DOCS} <= set(readme)
    assert [link for link in readme if link.endswith(".ipynb")] == []
    ordered = [link for link in dict.fromkeys(readme) if link in PAGES]
    assert ordered[: len(NOTEBOOKS)] == PAGES[1 : len(NOTEBOOKS) + 1], "the sidebar has the notebooks in order"


def test_every_stored_picture_and_its_words_are_on_the_page(site: Path) -> None:
    for path in NOTEBOOKS:
        text = (site / "notebooks" / f"{path.stem}.html").read_text(encoding="utf-8")
        for cell in read(path).cells:
            for output in cell.get("outputs", []):
                for image in re.findall(r"<img [^>]*>", output.get("data", {}).get("text/html", "")):
                    assert image in text, f"{path.stem} lacks a picture: {image[:200]}"
        assert "Error displaying widget" not in text
        assert "A Jupyter Widget" not in text
        assert not re.search("[Rr]un this cell to", text), "there is no kernel here"


def test_exercises_are_shown_unsolved_without_what_the_learner_wrote(site: Path) -> None:
    for path in EXERCISES:
        text = (site / "exercises" / f"{path.stem}.html").read_text(encoding="utf-8")
        stubs = [c for c in read(path).cells if c.metadata.get("lecture17", {}).get("stub")]
        assert text.count("NotImplementedError") >= len(stubs) > 0


def test_pages_are_right_for_every_reader_at_two_widths_in_two_themes(
    site: Path, browser: Browser, axe: str, screenshots: Path
) -> None:
    """Opened from disk: formulas and diagrams are drawn, nothing is asked of the network, axe-core finds no fault."""
    if not (site / "_static" / "mermaid.js").exists():
        missing("npm could not fetch mermaid, so diagrams were not drawn")
    complaints: list[str] = []
    page = browser.new_page()
    page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
    page.on("request", lambda r: complaints.append(f"{page.url} asks for {r.url}") if r.url[:4] == "http" else None)
    looks = itertools.cycle(itertools.product((1200, 400), ("light", "dark")))
    # All but most exercises, which are alike.
    visits = ["index.html"] * 4 + PAGES[1 : len(NOTEBOOKS) + 2] + PAGES[-len(DOCS) :]
    for name, (width, scheme) in zip(visits, looks, strict=False):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.goto((site / name).as_uri())
        page.evaluate("window.MathJax?.startup.promise")
        expect(page.locator("[data-mml-node=merror]")).to_have_count(0)
        diagrams = page.locator("pre.mermaid")
        expect(diagrams.locator("svg[aria-roledescription=flowchart-v2]")).to_have_count(diagrams.count())
        page.screenshot(path=screenshots / f"site-{Path(name).stem}-{width}-{scheme}.png")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} is wider than {width}"
        page.evaluate(axe)
        for fault in page.evaluate(AXE_RUN):
            places = [node["html"][:200] for node in fault["nodes"][:5]]
            complaints.append(f"{name}, {width}, {scheme}: {fault['id']} {places}")
    page.close()
    assert complaints == []


def test_the_front_page_is_an_explorer_three_sentences_and_the_zones(site: Path, browser: Browser) -> None:
    page = browser.new_page()
    page.goto((site / "index.html").as_uri())
    shown = ExplorerOnPage(page.locator(".lecture17-explorer"))
    shown.shows(SemiseparableExplorer().words)
    shown.control("state size r").press("ArrowRight")
    shown.shows(SemiseparableExplorer(d_state=5).words)
    page.wait_for_url(re.compile("#d_state=5"))
    zones = page.locator(".zones tbody tr")
    expect(zones).to_have_count(7)
    assert zones.locator("a").count() == len(NOTEBOOKS)
    page.close()


def test_explorers_wake_on_every_page_that_has_one_and_are_loaded_once(site: Path, browser: Browser) -> None:
    page = browser.new_page()
    for path in NOTEBOOKS:
        file = site / "notebooks" / f"{path.stem}.html"
        text = file.read_text(encoding="utf-8")
        n_explorers = text.count("data-explorer=")
        assert text.count("explorers.js") == (1 if n_explorers else 0)
        assert file.stat().st_size < 3e6
        if not n_explorers:
            continue
        page.goto(file.as_uri())
        for fold in page.locator("details.hide").all():
            fold.evaluate("(fold) => (fold.open = true)")
        for host in page.locator("[data-explorer]").all():
            host.scroll_into_view_if_needed()
            expect(host.locator(".lecture17-explorer .words")).to_have_text(re.compile(".{60,}"))
    page.close()


def test_predictions_are_asked_kept_and_answered_after_the_guess(site: Path, browser: Browser) -> None:
    page = browser.new_page()
    page.goto((site / "notebooks" / "00_quickstart.html").as_uri())
    asked = page.locator(".questions").first
    answer = page.locator("details.hide").first  # what the first question is about
    asked.get_by_role("button").click()
    expect(asked.get_by_text("Guess first")).to_be_visible()
    expect(answer).not_to_have_attribute("open", "")
    asked.get_by_role("radio").first.check()
    asked.get_by_role("button").click()
    expect(asked.get_by_text("Not quite. The answer: Yes, the same numbers, up to rounding.")).to_be_visible()
    expect(answer).to_have_attribute("open", "")
    page.reload()
    expect(asked.get_by_text("Not quite. The answer: Yes, the same numbers, up to rounding.")).to_be_visible()
    page.goto((site / "index.html").as_uri())
    expect(page.locator("[data-predictions]").first).to_have_text("0 right of 1 guessed")
    page.close()


def test_the_quiz_explains_each_answer(site: Path, browser: Browser) -> None:
    page = browser.new_page()
    page.goto((site / "notebooks" / "06_review.html").as_uri())
    asked = page.locator(".questions").last
    expect(asked.locator("fieldset")).to_have_count(len(QUESTIONS))
    asked.locator("fieldset").first.get_by_role("radio").nth(QUESTIONS[0].right).check()
    expect(asked.locator(".note").first).to_have_text(verdict(QUESTIONS[0], QUESTIONS[0].right))
    expect(asked.locator(".note").last).to_contain_text("1 right of 1 answered")
    page.close()


def test_search_finds_sections_without_a_server(site: Path, browser: Browser) -> None:
    page = browser.new_page()
    for query, title, anchor in (
        ("associative scan", "4 · A third way up", "02_intuition.html#a-third-way-up-the-associative-scan"),
        ("KDA forgets", "2 · What KDA forgets", "03e_family_since.html#what-kda-forgets"),
    ):
        page.goto((site / "search.html").as_uri() + f"?q={query.replace(' ', '+')}")
        first = page.locator("ol.found a").first
        expect(first).to_contain_text(title)
        expect(page.locator("ol.found mark").first).to_be_visible()
        first.click()
        assert page.url.endswith(anchor)
    page.goto((site / "search.html").as_uri() + "?q=zebrafish")
    expect(page.locator("#found")).to_have_text("No sections found for “zebrafish”.")
    page.close()
