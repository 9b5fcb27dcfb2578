"""Quiz and board in a real JupyterLab: answered by mouse and keyboard, explained, kept, and found again."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

from lecture17.course.assessment import ITEMS
from lecture17.widgets.quiz import QUESTIONS, verdict

from .conftest import write_notebook
from .lab import PATIENCE, Lab

BOARD = "from lecture17.course.board import ProgressBoard\n\nProgressBoard()"


def flat(text: str) -> str:
    return " ".join(text.split())


def test_every_answer_of_the_quiz_is_explained_and_all_can_be_taken_back(lab: Lab) -> None:
    lab.open("Quiz.ipynb")
    lab.run_all()
    groups = lab.page.locator(".lecture17-form fieldset")
    expect(groups).to_have_count(len(QUESTIONS), timeout=PATIENCE)
    first, note = groups.first.get_by_role("radio"), groups.first.locator(".note")
    first.nth(0).click()
    expect(note).to_have_text(flat(verdict(QUESTIONS[0], 0)), timeout=PATIENCE)
    for number in (1, 2):
        first.nth(number - 1).press("ArrowDown")
        expect(note).to_have_text(flat(verdict(QUESTIONS[0], number)), timeout=PATIENCE)
    for question, group in zip(QUESTIONS[1:], groups.all()[1:], strict=True):
        group.get_by_text(question.answers[question.right][0], exact=True).click()
    words = lab.page.locator(".lecture17-form .words")
    expect(words).to_have_text("10 right of 10 answered; 10 questions in all.", timeout=PATIENCE)
    lab.page.get_by_role("button", name="Start over").click()
    expect(words).to_have_text("0 right of 0 answered; 10 questions in all.", timeout=PATIENCE)
    expect(lab.page.locator(".lecture17-form input:checked")).to_have_count(0)
    assert lab.errors().count() == 0


def test_ticks_survive_a_restart_of_the_kernel(lab: Lab, course: Path) -> None:
    write_notebook(course / "ProgressBoard.ipynb", [BOARD])
    lab.open("ProgressBoard.ipynb")
    lab.run_all()
    boxes = lab.page.locator(".lecture17-form").get_by_role("checkbox")
    expect(boxes).to_have_count(len(ITEMS), timeout=PATIENCE)
    boxes.nth(2).press("Space")
    boxes.nth(5).click()
    expect(lab.page.locator(".lecture17-form .words")).to_have_text("Self-assessment: 2 of 8. Saved.", timeout=PATIENCE)
    kept = json.loads((course / ".lecture17" / "self-assessment.json").read_text())
    assert kept == {"can": ["chunks", "express"]}
    lab.restart_and_run_all()
    expect(boxes).to_have_count(len(ITEMS), timeout=PATIENCE)
    assert [box.is_checked() for box in boxes.all()] == [i in (2, 5) for i in range(len(ITEMS))]
    assert lab.errors().count() == 0


@pytest.mark.parametrize("name", ["Quiz", "ProgressBoard"])
def test_contrast_and_labels_are_right_at_two_widths_in_two_themes(
    lab: Lab, course: Path, name: str, axe: str, screenshots: Path
) -> None:
    if name == "ProgressBoard":
        write_notebook(course / "ProgressBoard.ipynb", [BOARD])
    lab.open(f"{name}.ipynb")
    lab.run_all()
    form = lab.page.locator(".lecture17-form")
    expect(form).to_have_count(1, timeout=PATIENCE)
    form.locator("input").first.check()
    lab.page.evaluate(axe)
    for theme in ("Dark", "Light"):
        lab.theme(f"JupyterLab {theme}")
        for width in (800, 1200):
            lab.page.set_viewport_size({"width": width, "height": 900})
            form.scroll_into_view_if_needed()
            lab.screenshot(screenshots / f"{name}-{width}-{theme.lower()}.png")
            violations = lab.page.evaluate("async () => (await axe.run('.lecture17-form')).violations")
            assert not violations, [(v["id"], [node["html"] for node in v["nodes"]]) for v in violations]
