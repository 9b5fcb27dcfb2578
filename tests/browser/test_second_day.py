"""The second day: explorers go on without a kernel, the rest shows its last text and how to wake it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from lecture17.course.predictions import get
from lecture17.widgets import SemiseparableExplorer
from lecture17.widgets.quiz import QUESTIONS

from .conftest import write_notebook
from .lab import PATIENCE, ExplorerOnPage, Lab

CELLS = [
    "from lecture17 import widgets\n\nwidgets.SemiseparableExplorer()",
    "widgets.Quiz()",
    "from lecture17.course.board import ProgressBoard\n\nProgressBoard()",
    "from lecture17.widgets.prompt import PromptBox\n\n"
    "PromptBox(lambda name, prompt, heat: iter(['pass']), ['SSD'], prompt='def f(): ')",
    'from lecture17.course import predict\n\npredict("03b_duality-basis")',
]
GUESS, OTHER, *_ = get("03b_duality-basis").parts[0].options
WORDS = SemiseparableExplorer(d_state=3).words
ANSWER = QUESTIONS[0].answers[1][0]
WAKE = (
    "Run this cell to answer.",
    "Run this cell to tick them.",
    "Run this cell to type a prompt of your own.",
    "To bring the question back, run the cells from the top to this one.",
)


def use(lab: Lab, course: Path, name: str) -> None:
    """Make a notebook with one of each, run it, move and answer all, and wait until everything is at rest."""
    write_notebook(course / name, CELLS)
    lab.open(name)
    lab.run_all()
    shown = lab.explorer()
    shown.control("state size r").press("ArrowLeft")
    shown.shows(WORDS)
    lab.page.get_by_text(ANSWER, exact=True).last.click()
    expect(lab.page.locator(".lecture17-form .words").first).to_contain_text("of 1 answered", timeout=PATIENCE)
    form = lab.page.locator(".lecture17-form").last
    for option in (OTHER, GUESS):  # one of them is new, whatever the test before has left
        form.get_by_text(option, exact=True).click()
    expect(form.locator(".words")).to_contain_text("Saved", timeout=PATIENCE)
    lab.page.get_by_role("button", name="Write").click()
    expect(lab.page.locator(".lecture17-live pre", has_text="def f(): pass")).to_be_visible(timeout=PATIENCE)
    expect(lab.page.locator(f'img[alt="{WORDS}"]')).to_have_count(1, timeout=PATIENCE)  # the still follows


@pytest.fixture
def notebook(lab: Lab, course: Path, request: pytest.FixtureRequest) -> str:
    """A notebook in which everything was used."""
    name = f"{request.node.name}.ipynb"
    use(lab, course, name)
    return name


def assert_asleep(page: Locator) -> None:
    """The explorer as it was left, alive; the others' last text, once, and the line that says how to wake it."""
    for words in WAKE:
        expect(page.get_by_text(words, exact=True).locator("visible=true")).to_have_count(1, timeout=PATIENCE)
    shown = ExplorerOnPage(page.locator(".lecture17-explorer:visible"))
    shown.shows(WORDS)
    shown.control("state size r").press("ArrowRight")
    shown.shows(SemiseparableExplorer(d_state=4).words)
    expect(page.get_by_text(f"☑ {ANSWER}").locator("visible=true")).to_have_count(1)
    expect(page.get_by_text("def f(): pass").locator("visible=true")).to_have_count(1)
    expect(page.get_by_text(f"You guessed: {GUESS}.").locator("visible=true")).to_have_count(1)
    expect(page.get_by_text("Error displaying widget").locator("visible=true")).to_have_count(0)


def test_after_a_restart_explorers_go_on_and_forms_say_how_to_wake_them(lab: Lab, notebook: str) -> None:
    lab.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:restart-kernel') }")
    lab.page.locator(".jp-Dialog .jp-mod-accept").click()
    form = lab.page.locator(".lecture17-form").first
    expect(form.locator(".asleep")).to_have_text(f"The kernel was restarted. {WAKE[0]}", timeout=PATIENCE)
    expect(form.locator("[inert]")).to_have_count(1)
    shown = lab.explorer()
    expect(shown.view.locator(".note")).to_contain_text("The kernel was restarted")
    shown.control("tokens N").press("ArrowLeft")
    shown.shows(SemiseparableExplorer(d_state=3, N=63).words)


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
