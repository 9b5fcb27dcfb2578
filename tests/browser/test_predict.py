"""Predictions in a real JupyterLab: answered by mouse and by keyboard, kept, and their pictures folded until run."""

import json
import os
from pathlib import Path

from playwright.sync_api import Locator, expect

from lecture17.course.build import execute, from_source
from lecture17.course.notebooks import read, write
from lecture17.course.predictions import get
from tests.conftest import ROOT

from .conftest import write_notebook
from .lab import PATIENCE, Lab

CHOICE, NUMBER = "03b_duality-random-features", "03b_duality-chunk-size"
ASK = 'from lecture17.course import predict\n\npredict("{}")'
PLOT = "print('what comes')"


def ask(lab: Lab, course: Path, name: str) -> Locator:
    """A new notebook with that question, run; the form in it."""
    write_notebook(course / f"{name}.ipynb", [ASK.format(name)])
    lab.open(f"{name}.ipynb")
    lab.run_all()
    form = lab.page.locator(".lecture17-form")
    expect(form).to_have_count(1, timeout=PATIENCE)
    return form


def kept(course: Path, name: str) -> dict:
    return json.loads((course / ".lecture17" / "predictions.json").read_text(encoding="utf-8"))["predictions"][name]


def test_a_choice_is_made_by_mouse_and_by_keys_and_found_again(lab: Lab, course: Path) -> None:
    form, [part] = ask(lab, course, CHOICE), get(CHOICE).parts
    expect(form.get_by_role("group", name=part.ask)).to_be_visible()
    choices, words = form.get_by_role("radio"), form.locator(".words")
    form.get_by_text(part.options[0], exact=True).click()
    expect(words).to_have_text("Saved. You can change it until you ask for the answer.", timeout=PATIENCE)
    assert kept(course, CHOICE) == {"guesses": [part.options[0]], "revealed": False}
    choices.nth(0).press("ArrowDown")
    expect(choices.nth(1)).to_be_checked()
    choices.nth(1).press("Tab")
    lab.page.keyboard.press("Enter")  # on the button
    expect(form.locator(".note")).to_have_text("Right.", timeout=PATIENCE)
    expect(words).to_contain_text(get(CHOICE).truth)
    expect(choices.nth(0)).to_be_disabled()
    assert kept(course, CHOICE) == {"guesses": [part.right], "revealed": True}
    lab.restart_and_run_all()
    expect(form.locator(".note")).to_have_text("Right.", timeout=PATIENCE)
    expect(choices.nth(1)).to_be_checked()
    assert lab.errors().count() == 0


def test_numbers_are_typed(lab: Lab, course: Path) -> None:
    form, parts = ask(lab, course, NUMBER), get(NUMBER).parts
    fields = form.get_by_role("spinbutton")
    expect(fields).to_have_count(len(parts))
    fields.nth(0).fill("6")
    fields.nth(0).press("Enter")
    expect(form.locator(".words")).to_have_text(
        "Saved. You can change it until you ask for the answer.", timeout=PATIENCE
    )
    button = form.get_by_role("button", name="Show the answer")
    button.click()
    expect(form.locator(".words")).to_contain_text("Guess first", timeout=PATIENCE)
    fields.nth(1).fill("1")
    button.click()
    expect(form.locator(".note")).to_have_text(["Right.", "Not quite. The answer: 64 tokens."], timeout=PATIENCE)
    expect(button).to_be_hidden()
    assert kept(course, NUMBER) == {"guesses": [6, 1], "revealed": True}
    assert lab.errors().count() == 0


def test_the_keyboard_goes_on_to_the_next_cell(lab: Lab, course: Path) -> None:
    """What is pressed or answered last is gone or disabled afterwards; JupyterLab has to get the keys all the same."""
    (course / ".lecture17" / "predictions.json").unlink(missing_ok=True)
    write_notebook(course / "Keys.ipynb", [ASK.format(NUMBER), f'predict("{CHOICE}")', PLOT])
    lab.open("Keys.ipynb")
    lab.run_all()
    forms, keys = lab.page.locator(".lecture17-form"), lab.page.keyboard
    expect(forms).to_have_count(2, timeout=PATIENCE)
    fields = forms.nth(0).get_by_role("spinbutton")
    fields.nth(0).click()
    keys.type("7")
    keys.press("Tab")
    field = fields.nth(1)
    field.press_sequentially("5")
    keys.press("Shift+Enter")  # runs the cell again, which redraws the form
    lab.idle()
    expect(field).to_have_value("5")
    choices = forms.nth(1).get_by_role("radio")
    choices.nth(0).press("ArrowDown")
    choices.nth(1).press("Tab")
    keys.press("Enter")
    expect(choices.nth(1)).to_be_disabled(timeout=PATIENCE)
    for _ in range(2):
        keys.press("Shift+Enter")
    lab.idle()
    expect(lab.cell(PLOT).locator(".jp-InputPrompt")).to_have_text("[6]:", timeout=PATIENCE)


def test_what_answers_it_is_folded_until_its_cell_is_run_also_after_saving(
    lab: Lab, course: Path, screenshots: Path
) -> None:
    path = course / "notebooks" / "00_quickstart.ipynb"
    nb = execute(from_source(ROOT / "notebooks" / "00_quickstart.py"), path.parent)
    write(nb, path)
    os.utime(path, (path.with_suffix(".py").stat().st_mtime,) * 2)  # no newer than its pair, as a clone has it
    pair = path.with_suffix(".py").read_text(encoding="utf-8")
    lab.open("notebooks/00_quickstart.ipynb")
    answer = lab.cell("P = np.tril(np.exp(Q @ K.T))")
    answer.scroll_into_view_if_needed()
    expect(answer.locator(".jp-OutputPlaceholder")).to_be_visible(timeout=PATIENCE)
    expect(answer.locator(".jp-PlaceholderText")).to_have_text("")
    for preview in lab.page.locator(".jp-PlaceholderText").all():
        assert not preview.text_content()
    lab.screenshot(screenshots / "Predictions-folded.png")
    lab.save()
    assert [c.metadata for c in read(path).cells] == [c.metadata for c in nb.cells]
    assert path.with_suffix(".py").read_text(encoding="utf-8") == pair
    lab.run_all()
    expect(answer.get_by_text("softmax attention  rank")).to_be_visible(timeout=PATIENCE)
    lab.idle()


def test_contrast_labels_and_places_are_right_at_two_widths_in_two_themes(
    lab: Lab, course: Path, axe: str, screenshots: Path
) -> None:
    write_notebook(course / "Predictions.ipynb", [ASK.format(NUMBER), f'predict("{CHOICE}")', PLOT])
    (course / ".lecture17" / "predictions.json").unlink(missing_ok=True)
    lab.open("Predictions.ipynb")
    lab.run_all()
    forms = lab.page.locator(".lecture17-form")
    expect(forms).to_have_count(2, timeout=PATIENCE)
    forms.nth(1).get_by_role("radio").nth(2).click()
    forms.nth(1).get_by_role("button").click()
    forms.nth(0).get_by_role("spinbutton").nth(0).fill("100")
    forms.nth(0).get_by_role("spinbutton").nth(0).press("Tab")
    expect(forms.nth(0).locator(".words")).to_contain_text("Saved", timeout=PATIENCE)
    lab.page.evaluate(axe)
    for theme in ("Dark", "Light"):
        lab.theme(f"JupyterLab {theme}")
        for width in (900, 1280):
            lab.page.set_viewport_size({"width": width, "height": 900})
            forms.nth(0).scroll_into_view_if_needed()
            lab.screenshot(screenshots / f"Predictions-{width}-{theme.lower()}.png")
            for question in lab.page.locator(".lecture17-form legend").all():
                top = "(element) => element.getBoundingClientRect().top"
                assert question.evaluate(top) > question.locator("..").evaluate(top) + 1, "it is on the border"
            violations = lab.page.evaluate("async () => (await axe.run('.lecture17-form')).violations")
            assert not violations, [(v["id"], [node["html"] for node in v["nodes"]]) for v in violations]
