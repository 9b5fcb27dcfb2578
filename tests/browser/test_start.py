"""`make lab` as a learner meets it: JupyterLab opens clean on the quick start, and looking changes nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import ROOT

from .lab import CURRENT, NOT_OURS, PATIENCE, Lab

IN_FRONT = ".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell"


@pytest.fixture
def first_visit(browser: Browser, server: str) -> Iterator[Page]:
    """The page that JupyterLab opens by itself, in a browser that has never seen it, with no tabs of other tests."""
    page = browser.new_page()
    page.goto(f"{server}/lab?reset")
    page.wait_for_load_state("networkidle")
    page.close()
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(PATIENCE)
    yield page
    page.close()


def test_the_quick_start_opens_without_a_question_and_asks_nothing_of_the_network(
    first_visit: Page, server: str, course: Path, screenshots: Path
) -> None:
    quick_start = Path("notebooks/00_quickstart.ipynb")
    (course / quick_start).write_bytes((ROOT / quick_start).read_bytes())  # other tests may have run it
    page, elsewhere, complaints = first_visit, [], []
    own = (server, "blob:")
    page.on("request", lambda r: elsewhere.append(r.url) if not r.url.startswith(own) else None)
    # JupyterLab also opens again what other tests have left open.
    theirs = lambda message: message.type != "error" or message.text.startswith(NOT_OURS)  # noqa: E731
    page.on("console", lambda message: None if theirs(message) else complaints.append(message.text))
    page.goto(server)
    page.wait_for_selector(IN_FRONT)
    expect(page.get_by_role("heading", name="00 · Quick start")).to_be_visible()
    page.wait_for_function(f"() => {CURRENT}?.sessionContext?.session?.kernel?.status === 'idle'")
    page.wait_for_timeout(5000)  # the question about news comes late
    assert page.locator(".jp-Dialog, .Toastify__toast").count() == 0
    menus = page.locator(".lm-MenuBar-itemLabel").all_inner_texts()
    assert menus == ["File", "Edit", "View", "Run", "Kernel", "Tabs", "Settings", "Help"]
    text = page.locator("body").inner_text()
    assert [word for word in ("Nbgrader", "Validate", "Create Assignment", "Jupytext") if word in text] == []
    names = [name.splitlines()[0] for name in page.locator(".jp-DirListing-item").all_inner_texts()]
    assert names == sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb")), "notebooks without their .py"
    for theme in ("Dark", "Light"):
        Lab(page, server).theme(f"JupyterLab {theme}")
        for width in (900, 1280):
            page.set_viewport_size({"width": width, "height": 900})
            page.screenshot(path=screenshots / f"start-{width}-{theme.lower()}.png")
    assert (elsewhere, complaints) == ([], [])


def test_a_tab_of_exercises_has_another_name_than_its_lectures(lab: Lab, screenshots: Path) -> None:
    lab.open("notebooks/03b_duality.ipynb")
    lab.command("docmanager:open", {"path": "exercises/03b_duality.ipynb"})
    tabs = lab.page.locator(".lm-DockPanel-tabBar .lm-TabBar-tabLabel", has_text="03b_duality.ipynb")
    expect(tabs).to_have_count(2)
    marks = [tab.evaluate("tab => getComputedStyle(tab, '::before').content") for tab in tabs.all()]
    assert marks == ["none", '"✎ Ex " / "exercise "']
    lab.screenshot(screenshots / "start-tabs.png")


@pytest.mark.parametrize("path", ["notebooks/00_quickstart.ipynb", "exercises/03b_duality.ipynb"])
def test_opening_and_closing_changes_nothing_and_saving_keeps_every_byte(lab: Lab, course: Path, path: str) -> None:
    (course / path).write_bytes(before := (ROOT / path).read_bytes())
    lab.open(path)
    lab.page.wait_for_timeout(2000)
    assert lab.page.evaluate(f"{CURRENT}.context.model.dirty") is False
    lab.save()
    assert (course / path).read_bytes() == before
    lab.command("application:close-all")
    expect(lab.page.locator(".jp-Dialog")).to_have_count(0)
    lab.open(path)
    lab.page.evaluate(f"{CURRENT}.model.sharedModel.insertCell(0, {{cell_type: 'raw', source: ''}})")
    assert lab.page.evaluate(f"{CURRENT}.context.model.dirty") is True, "what is changed is still seen"
    lab.page.evaluate(f"{CURRENT}.context.revert()")
