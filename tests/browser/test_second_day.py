"""What a learner finds on the second day: the last picture, and how to wake it; never a widget without its model."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from lecture17.widgets import SemiseparableExplorer
from lecture17.widgets.quiz import QUESTIONS

from .conftest import write_notebook
from .lab import PATIENCE, Lab

CELLS = [
    "from lecture17 import widgets\n\nwidgets.SemiseparableExplorer()",
    "widgets.Quiz()",
    "from lecture17.course.board import ProgressBoard\n\nProgressBoard()",
    "from lecture17.widgets.prompt import PromptBox\n\n"
    "PromptBox(lambda name, prompt, heat: iter(['pass']), ['SSD'], prompt='def f(): ')",
]
ANSWER = QUESTIONS[0].answers[1][0]
WAKE = (
    "Run this cell to explore.",
    "Run this cell to answer.",
    "Run this cell to tick them.",
    "Run this cell to type a prompt of your own.",
)


@pytest.fixture
def notebook(lab: Lab, course: Path, request: pytest.FixtureRequest) -> str:
    """A notebook with one of each, run, moved and answered, with everything at rest."""
    name = f"{request.node.name}.ipynb"
    write_notebook(course / name, CELLS)
    lab.open(name)
    lab.run_all()
    shown = lab.explorer()
    shown.control("state size r").press("ArrowLeft")
    explorer = SemiseparableExplorer
    shown.shows(explorer.describe(explorer.params_at(explorer.positions_for({"d_state": 2}))))
    lab.page.get_by_text(ANSWER, exact=True).last.click()
    expect(lab.page.locator(".lecture17-form .words").first).to_contain_text("of 1 answered", timeout=PATIENCE)
    lab.page.get_by_role("button", name="Write").click()
    expect(lab.page.locator(".lecture17-live pre", has_text="def f(): pass")).to_be_visible(timeout=PATIENCE)
    expect(lab.page.locator(f'img[alt="{shown.image.get_attribute("alt")}"]')).to_have_count(2)  # the still follows
    return name


def assert_asleep(page: Locator) -> None:
    """Each one's last picture or text, once, and the line that says how to wake it."""
    for words in WAKE:
        expect(page.get_by_text(words, exact=True).locator("visible=true")).to_have_count(1, timeout=PATIENCE)
    [words] = {image.get_attribute("alt") or "" for image in page.locator("img[alt*=Mamba]:visible").all()}
    assert "state size r = 2" in words
    expect(page.get_by_text(f"☑ {ANSWER}").locator("visible=true")).to_have_count(1)
    expect(page.get_by_text("def f(): pass").locator("visible=true")).to_have_count(1)
    expect(page.get_by_text("Error displaying widget").locator("visible=true")).to_have_count(0)


def test_a_restarted_kernel_stops_the_controls_and_says_how_to_wake_them(lab: Lab, notebook: str) -> None:
    lab.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:restart-kernel') }")
    lab.page.locator(".jp-Dialog .jp-mod-accept").click()
    for live, words in ((".lecture17-explorer", WAKE[0]), (".lecture17-form", WAKE[1])):
        view = lab.page.locator(live).first
        expect(view.locator(".asleep")).to_have_text(f"The kernel was restarted. {words}", timeout=PATIENCE)
        expect(view.locator("[inert]")).to_have_count(1)
    slider = lab.explorer().control("tokens N")
    before = slider.input_value()
    slider.focus()
    lab.page.keyboard.press("ArrowLeft")
    assert slider.input_value() == before


def test_the_next_day_each_shows_its_last_picture_and_one_line(
    lab: Lab, notebook: str, course: Path, screenshots: Path, tmp_path: Path
) -> None:
    lab.save()
    lab.page.evaluate("window.jupyterapp.serviceManager.sessions.shutdownAll()")
    lab.page.goto("about:blank")
    lab.open(notebook)
    assert_asleep(lab.page.locator(".jp-Notebook"))
    lab.screenshot(screenshots / "second-day.png")
    exported = tmp_path / "second-day.html"
    command = [sys.executable, "-m", "nbconvert", "--to=html", f"--output={exported}", str(course / notebook)]
    subprocess.run(command, check=True, capture_output=True)
    browser = lab.page.context.browser
    assert browser is not None
    page = browser.new_page()
    page.goto(exported.as_uri())
    assert_asleep(page.locator("body"))
    page.screenshot(path=screenshots / "second-day-exported.png", full_page=True)
    page.close()
    stored = json.loads((course / notebook).read_text(encoding="utf-8"))
    assert "widgets" not in stored["metadata"]


def test_while_the_kernel_computes_the_old_picture_is_dimmed(lab: Lab) -> None:
    lab.open("SemiseparableExplorer.ipynb")
    lab.run_all()
    shown = lab.explorer()
    expect(shown.image).to_be_visible(timeout=PATIENCE)
    seen = shown.view.evaluate(
        """(view) => new Promise((resolve) => {
          const slider = view.querySelector('input[type=range]');
          slider.value -= 1;
          slider.dispatchEvent(new Event('input'));
          const dimmed = view.classList.contains('computing');
          const wait = () => (view.classList.contains('computing') ? setTimeout(wait, 20) : resolve(dimmed));
          wait();
        })"""
    )
    assert seen
