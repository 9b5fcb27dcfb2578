"""Explorers in a running JupyterLab: what is moved can be read in Python, and Python moves what is shown."""

import time
from pathlib import Path

from playwright.sync_api import expect

from lecture17.course.notebooks import read
from lecture17.widgets import SemiseparableExplorer

from .conftest import write_notebook
from .lab import CURRENT, PATIENCE, Lab


def test_python_reads_what_was_moved_and_moves_what_is_shown(lab: Lab, course: Path) -> None:
    cells = [
        "from lecture17 import widgets\n\nexplorer = widgets.SemiseparableExplorer()\nexplorer",
        "explorer.decay = 0.5",
        "print(explorer.d_state, explorer.decay)",
        "explorer.N = 500",
    ]
    write_notebook(course / "both.ipynb", cells)
    lab.open("both.ipynb")
    lab.run_all()
    lab.idle()
    shown = lab.explorer()
    shown.shows(SemiseparableExplorer(decay=0.5).words)
    expect(lab.errors().first).to_contain_text("N is 500: expected a whole number from 2 to 128")
    shown.control("state size r").press("ArrowRight")
    shown.shows(SemiseparableExplorer(decay=0.5, d_state=5).words)
    lab.cell("print(explorer").click()
    lab.command("notebook:run-cell")
    expect(lab.cell("print(explorer").locator(".jp-OutputArea-output")).to_have_text("5 0.5", timeout=PATIENCE)


SLIDER = """import numpy as np

from lecture17.figures import Play
from lecture17.widgets.slider import Slider


def play(decay):
    M = np.tril(decay ** np.abs(np.subtract.outer(np.arange(8), np.arange(8))))
    x = np.eye(8)[:, :2]
    return Play(M, np.cumsum(x, axis=0)[:, None], x, M @ x, f"At {decay:.2f}")


slider = Slider(play, "decay", 0.3, 1.0, value=0.9)
slider"""


def test_a_slider_plays_the_function_of_its_cell_and_python_moves_it_too(lab: Lab, course: Path) -> None:
    write_notebook(course / "slider.ipynb", [SLIDER, "print(slider.value)", "slider.value = 0.5"])
    lab.open("slider.ipynb")
    lab.run_all()
    lab.idle()
    shown = lab.explorer()
    headline = shown.view.locator(".headline")
    expect(headline).to_have_text("At 0.50")
    shown.control("decay").press("ArrowLeft")
    expect(headline).to_have_text("At 0.48")
    lab.cell("print(slider").click()
    lab.command("notebook:run-cell")
    expect(lab.cell("print(slider").locator(".jp-OutputArea-output")).to_have_text("0.48", timeout=PATIENCE)


def test_explorers_of_one_notebook_do_not_disturb_each_other(lab: Lab, course: Path) -> None:
    cell = "from lecture17 import widgets\n\nwidgets.SemiseparableExplorer(seed={})"
    write_notebook(course / "two.ipynb", [cell.format(1), cell.format(2)])
    lab.open("two.ipynb")
    lab.run_all()
    views = lab.page.locator(".lecture17-explorer:visible")
    expect(views).to_have_count(2, timeout=PATIENCE)
    views.nth(1).get_by_label("state size r", exact=True).press("ArrowRight")
    expect(views.nth(1).locator(".words")).to_have_text(SemiseparableExplorer(seed=2, d_state=5).words)
    expect(views.nth(0).locator(".words")).to_have_text(SemiseparableExplorer(seed=1).words)


def test_saving_works_from_within_an_explorer_and_plain_keys_stay_there(lab: Lab, course: Path) -> None:
    path = course / "keys.ipynb"
    write_notebook(path, ["from lecture17 import widgets\n\nwidgets.SemiseparableExplorer()", "1 + 1"])
    lab.open("keys.ipynb")
    lab.run_all()
    lab.idle()
    control = lab.explorer().control("state size r")
    control.press("ArrowRight")
    for key in ("d", "d", "a"):  # in JupyterLab: delete the cell, add one above
        control.press(key)
    control.press("Control+s")
    moved = SemiseparableExplorer(d_state=5).words
    deadline = time.monotonic() + 30
    while moved not in path.read_text(encoding="utf-8") and time.monotonic() < deadline:
        time.sleep(1)
        control.press("Control+s")  # the picture arrives a moment after the move
    notebook = read(path)
    assert moved in str(notebook.cells[0].outputs)
    assert len(notebook.cells) == 2


def test_a_saved_notebook_stays_saved_while_one_looks_at_another(lab: Lab, course: Path) -> None:
    for name in ("first", "second"):  # both stay open
        write_notebook(course / f"{name}.ipynb", ["from lecture17 import widgets\n\nwidgets.SemiseparableExplorer()"])
    lab.open("first.ipynb")
    lab.run_all()
    lab.explorer()
    lab.idle()
    dirty = f"{CURRENT}.context.model.dirty"
    lab.save()
    lab.page.wait_for_timeout(1500)  # the still of an explorer at rest
    lab.save()
    for name in ("second", "first"):
        lab.command("docmanager:open", {"path": f"{name}.ipynb"})
        lab.page.wait_for_timeout(2500)
    assert not lab.page.evaluate(dirty)
    lab.page.goto("about:blank")
