"""Every explorer in a real JupyterLab: each control by mouse and by keyboard, both themes, two widths."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from lecture17 import widgets
from lecture17.widgets import ChunkExplorer
from lecture17.widgets.explorer import Control, Explorer

from .lab import PATIENCE, ExplorerOnPage, Lab

EXPLORERS = [name for name in widgets.__all__ if issubclass(getattr(widgets, name), Explorer)]
each_explorer = pytest.mark.parametrize("name", EXPLORERS)


def opened(lab: Lab, name: str) -> tuple[type[Explorer], ExplorerOnPage]:
    lab.open(f"{name}.ipynb")
    lab.run_all()
    return getattr(widgets, name), lab.explorer()


def press(element: Locator, control: Control, at: int) -> int:
    """Change a control by keyboard alone; returns the position that it should now have."""
    element.focus()
    if control.kind == "check":
        element.press("Space")
        return 1 - at
    forward = at < len(control.values) - 1
    element.press("ArrowDown" if forward == (control.kind == "choice") else "ArrowUp")
    return at + 1 if forward else at - 1


def drag(element: Locator, control: Control, start: int, target: int) -> None:
    """Bring a control from one position to another by mouse alone."""
    if control.kind == "check":
        element.click()
    elif control.kind == "choice":
        element.select_option(index=target)
    else:
        element.scroll_into_view_if_needed()
        box = element.bounding_box()
        assert box is not None
        thumb = 16  # pixels; its center moves from half a thumb after the left end to half a thumb before the right
        step = (box["width"] - thumb) / (len(control.values) - 1)
        left, middle = box["x"] + thumb / 2, box["y"] + box["height"] / 2
        mouse = element.page.mouse
        mouse.move(left + start * step, middle)
        mouse.down()
        mouse.move(left + target * step, middle, steps=3)
        mouse.up()


@each_explorer
def test_each_control_works_by_keyboard_and_back_by_mouse(lab: Lab, name: str) -> None:
    explorer, shown = opened(lab, name)
    positions = explorer.positions_for({})
    shown.shows(explorer.describe(explorer.start))
    for control in explorer.controls_for(explorer.start):
        at, element, before = positions[control.name], shown.control(control.label), shown.picture()
        pressed = press(element, control, at)
        shown.shows(explorer.describe(explorer.params_at({**positions, control.name: pressed})))
        assert shown.picture() != before, control.name
        drag(element, control, pressed, at)
        shown.shows(explorer.describe(explorer.start))
        assert shown.picture() == before, control.name
    assert lab.errors().count() == 0


def test_a_click_on_a_block_chooses_it_and_the_words_give_its_rank(lab: Lab) -> None:
    _, shown = opened(lab, "SemiseparableExplorer")
    scene = widgets.SemiseparableExplorer.scene_type()
    scene.png()  # lays it out
    box = shown.image.bounding_box()
    assert box is not None
    for ax in (scene.grid, scene.matrices[2]):
        for row, column, rank in ((3, 1, 4), (2, 2, 16)):
            x, y = ax.transData.transform(((column + 0.5) / 4, (row + 0.5) / 4))
            across, down = x / scene.bbox.width, 1 - y / scene.bbox.height
            shown.image.click(position={"x": across * box["width"], "y": down * box["height"]})
            rows, columns = f"{16 * row}–{16 * row + 15}", f"{16 * column}–{16 * column + 15}"
            expect(shown.words).to_contain_text(f"Block rows {rows}, columns {columns}: rank {rank} of at most {rank};")
            expect(shown.control("block row")).to_have_value(str(row))
            expect(shown.control("block column")).to_have_value(str(column))


def test_two_views_play_from_any_token_to_the_last_and_again_from_the_first(lab: Lab) -> None:
    explorer, shown = opened(lab, "TwoViews")
    positions = explorer.positions_for({})
    last = len(explorer.controls_for(explorer.start)[0].values) - 1
    play = shown.view.get_by_role("button")
    expect(play).to_have_text("Play")
    play.click()
    expect(play).to_have_text("Pause")
    shown.shows(explorer.describe(explorer.params_at({**positions, "t": last})))
    expect(play).to_have_text("Play")
    play.click()
    expect(shown.words).to_contain_text(re.compile("^Token [0-3]:"))
    play.click()
    expect(play).to_have_text("Play")
    lab.page.wait_for_timeout(1000)  # a step that was on its way may still arrive
    stopped = shown.words.inner_text()
    lab.page.wait_for_timeout(1000)
    assert shown.words.inner_text() == stopped


def test_the_button_of_the_chunk_explorer_adds_times_measured_here(lab: Lab) -> None:
    _, shown = opened(lab, "ChunkExplorer")
    drag(shown.control("tokens N"), ChunkExplorer.controls_for(ChunkExplorer.start)[0], 4, 0)
    expect(shown.words).to_contain_text("With 256 tokens")
    before = shown.picture()
    shown.view.get_by_role("button", name="Time all three forms here").click()
    expect(shown.words).to_contain_text(re.compile(r"microseconds per token: recurrent [\d.]+"), timeout=PATIENCE)
    assert shown.picture() != before
    expect(shown.view.get_by_role("button", name="Time all three forms here")).to_be_enabled()


def test_running_all_again_and_reloading_leave_one_explorer_that_still_moves(lab: Lab) -> None:
    explorer, shown = opened(lab, "SemiseparableExplorer")
    lab.restart_and_run_all()
    shown = lab.explorer()
    control, positions = explorer.controls_for(explorer.start)[0], explorer.positions_for({})
    pressed = press(shown.control(control.label), control, positions[control.name])
    now = explorer.describe(explorer.params_at({**positions, control.name: pressed}))
    shown.shows(now)
    lab.save()
    lab.reload()
    lab.explorer().shows(now)
    assert lab.errors().count() == 0


@each_explorer
def test_it_fits_and_its_contrast_and_labels_are_right_at_two_widths_in_two_themes(
    lab: Lab, name: str, axe: str, screenshots: Path
) -> None:
    explorer, shown = opened(lab, name)
    shown.shows(explorer.describe(explorer.start))
    lab.page.evaluate(axe)
    for theme in ("Dark", "Light"):
        lab.theme(f"JupyterLab {theme}")
        for width in (800, 1200):
            lab.page.set_viewport_size({"width": width, "height": 900})
            lab.screenshot(screenshots / f"{name}-{width}-{theme.lower()}.png")
            violations = lab.page.evaluate("async () => (await axe.run('.lecture17-explorer')).violations")
            assert not violations, [(v["id"], [node["html"] for node in v["nodes"]]) for v in violations]
            assert_fits(shown.view)


def assert_fits(view: Locator) -> None:
    """No visible part of the explorer sticks out of it, to the left or to the right."""
    outer = view.bounding_box()
    assert outer is not None
    for part in view.locator(":is(label, input, select, output, button, img, p):visible").all():
        box = part.bounding_box()
        assert box is not None
        assert outer["x"] - 1 <= box["x"]
        assert box["x"] + box["width"] <= outer["x"] + outer["width"] + 1
