"""Notebooks and exercises as a learner meets them in a real JupyterLab: opened, run, filled in, saved, found again."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.conftest import ROOT

from .lab import PATIENCE, Lab

LIVE = re.compile(r"widgets\.\w+Explorer\(|widgets\.(TwoViews|ArchitectureChooser)\(|\bSlider\(")
WITH_EXPLORERS = sorted(
    path.relative_to(ROOT)
    for path in (ROOT / "notebooks").glob("*.ipynb")
    if LIVE.search(path.read_text(encoding="utf-8"))
)
EXERCISE = "exercises/00_quickstart.ipynb"


def test_there_are_notebooks_with_explorers() -> None:
    assert len(WITH_EXPLORERS) >= 3


@pytest.mark.parametrize("path", WITH_EXPLORERS, ids=lambda path: path.stem)
def test_a_stored_notebook_shows_pictures_and_when_run_its_explorers(lab: Lab, course: Path, path: Path) -> None:
    (course / path).write_bytes((ROOT / path).read_bytes())  # other tests may have run it
    lab.open(str(path))
    lab.command("notebook:show-all-cell-outputs")  # those that answer a prediction are folded
    stored = lab.page.locator(".jp-OutputArea-output p", has_text=re.compile("Run this cell to (explore|move it)"))
    n_explorers = len(re.findall("Run this cell to (?:explore|move it)", (ROOT / path).read_text(encoding="utf-8")))
    expect(stored).to_have_count(n_explorers, timeout=PATIENCE)
    assert lab.page.locator(".jp-OutputArea-output img[alt]").count() >= n_explorers
    assert lab.errors().count() == 0

    lab.run_all()
    views = lab.page.locator(".lecture17-explorer:visible")
    expect(views).to_have_count(n_explorers, timeout=3 * PATIENCE)  # a notebook may measure something first
    for view in views.all():
        view.scroll_into_view_if_needed()  # what is out of sight is not drawn
        words = view.locator(".words")
        expect(words).to_have_text(re.compile(".{60,}"), timeout=PATIENCE)
        before = words.inner_text()
        view.locator("input[type=range]").first.press("ArrowLeft")
        expect(words).not_to_have_text(before, timeout=PATIENCE)
    assert lab.errors().count() == 0


WRONG = "def semiseparable_matrix(U, V):\n    return np.triu(U @ V.T)"
RIGHT = "def semiseparable_matrix(U, V):\n    return np.tril(U @ V.T)"


def answer_and_check(lab: Lab, answer: str) -> str:
    """Replace the answer by typing, run it and the check below it, and return what the check says."""
    cell = lab.cell("def semiseparable_matrix")
    cell.locator(".cm-content").click()
    lab.page.keyboard.press("ControlOrMeta+a")
    lab.page.keyboard.insert_text(answer)
    lab.page.keyboard.press("Shift+Enter")
    lab.cell('check("00_quickstart-matrix"').locator(".cm-content").click()
    lab.page.keyboard.press("Shift+Enter")
    lab.idle()
    return lab.cell('check("00_quickstart-matrix"').locator(".jp-OutputArea-output").first.inner_text()


def test_a_wrong_answer_is_diagnosed_a_right_one_passes_and_both_survive_a_reload(lab: Lab, course: Path) -> None:
    lab.open(EXERCISE)
    lab.run_all()
    said = answer_and_check(lab, WRONG)
    assert said.startswith("✗ 00_quickstart-matrix: A differs from the definition")
    assert "the mask keeps the wrong triangle" in " ".join(said.split())

    said = answer_and_check(lab, RIGHT)
    assert said.startswith("✓ 00_quickstart-matrix (3 points): A matches the definition")
    progress = json.loads((course / ".lecture17" / "progress.json").read_text())
    assert "00_quickstart-matrix" in progress["passed"]

    lab.save()
    lab.reload()
    expect(lab.cell("def semiseparable_matrix").locator(".cm-content")).to_contain_text("return np.tril(U @ V.T)")
    expect(lab.page.get_by_text("✓ 00_quickstart-matrix (3 points)")).to_be_visible()
    saved = json.loads((course / EXERCISE).read_text(encoding="utf-8"))
    assert any("".join(cell["source"]) == RIGHT for cell in saved["cells"])
