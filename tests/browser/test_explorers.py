"""Every explorer in a page without a kernel: each control, what a hand can do, both themes, three widths."""

import json
import math
import re
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from lecture17 import widgets
from lecture17.choosing import choose
from lecture17.widgets.chunks import Cost
from lecture17.widgets.explorer import Control, Explorer
from lecture17.widgets.memory import USED_BY
from lecture17.widgets.scan import ROUTES
from lecture17.widgets.two_views import decays_only

from .lab import PATIENCE, ExplorerOnPage

EXPLORERS = [e for e in (getattr(widgets, name) for name in widgets.__all__) if issubclass(e, Explorer)]
each_explorer = pytest.mark.parametrize("explorer", EXPLORERS, ids=lambda e: e.__name__)
Opened = Callable[..., ExplorerOnPage]


@pytest.fixture
def page(browser: Browser) -> Any:
    page = browser.new_page(viewport={"width": 1000, "height": 1000})
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield page
    page.close()
    assert complaints == []


@pytest.fixture
def opened(page: Page, tmp_path: Path) -> Opened:
    """A page from disk with one explorer, awake."""

    def open_page(explorer: type[Explorer], address: bool = False, **settings: Any) -> ExplorerOnPage:
        still = explorer(**settings).still()["text/html"]
        if address:
            still = still.replace("<div data-explorer", "<div data-address data-explorer")
        file = tmp_path / f"{explorer.__name__}.html"
        title = f"<title>{explorer.__name__}</title>"
        file.write_text(
            f'<!doctype html><html lang="en"><meta charset="utf-8">{title}<main>{still}</main></html>', "utf-8"
        )
        page.goto(file.as_uri())
        view = page.locator(".lecture17-explorer")
        expect(view).to_have_count(1, timeout=PATIENCE)
        return ExplorerOnPage(view)

    return open_page


def words_of(explorer: type[Explorer], **settings: Any) -> str:
    return explorer.describe(explorer.settle(replace(explorer.start, **settings)))


def next_value(control: Control, value: Any) -> tuple[str, Any]:
    """A key that changes the control, and the value that it then has."""
    if control.kind == "check":
        return "Space", not value
    if control.kind == "choice":
        at = control.options.index(value)
        down = at < len(control.options) - 1
        return ("ArrowDown", control.options[at + 1]) if down else ("ArrowUp", control.options[at - 1])
    if control.doubles:
        return "ArrowRight", min(control.high, 2 ** (math.ceil(math.log2(value)) + 1))
    up = value + control.step <= control.high
    return ("ArrowRight", value + control.step) if up else ("ArrowLeft", value - control.step)


@each_explorer
def test_each_control_works_by_keyboard_and_reset_takes_it_back(opened: Opened, explorer: type[Explorer]) -> None:
    shown = opened(explorer)
    shown.shows(words_of(explorer))
    moved = 0
    for control in explorer.controls:
        element = shown.control(control.label)
        if not element.is_visible() or element.is_disabled():
            continue
        key, value = next_value(control, getattr(explorer.start, control.name))
        element.focus()
        element.press(key)
        shown.shows(words_of(explorer, **{control.name: value}))
        shown.view.get_by_role("button", name="Reset").click()
        shown.shows(words_of(explorer))
        moved += 1
    assert moved >= 3


@each_explorer
def test_a_number_can_be_typed_and_is_refused_with_the_range(opened: Opened, explorer: type[Explorer]) -> None:
    shown = opened(explorer)
    control = next(c for c in explorer.controls if c.kind in ("range", "play"))
    field = shown.control(f"{control.label}, typed")
    field.fill(str(control.high + 1))
    field.press("Enter")
    expect(shown.view.locator(".complaint:visible")).to_have_text(re.compile(r"from [\d.]+ to [\d.]+, please$"))
    shown.shows(words_of(explorer))
    value = control.checked(control.low + control.step)
    field.fill(str(value))
    field.press("Enter")
    expect(shown.view.locator(".complaint:visible")).to_have_count(0)
    shown.shows(words_of(explorer, **{control.name: value}))


def at_powers_of_two(costs: dict[str, Cost]) -> Any:
    flops = costs["FLOPs per token"]
    return flops.chunkwise[np.log2(flops.sizes) % 1 == 0]


# What the cell that is copied computes, and what the explorer's twin in Python says that it is; one setting for each
# way in which such a cell is written.
COPIED: dict[str, tuple[list[dict[str, Any]], str, Callable[[Any], Any]]] = {
    "ArchitectureChooser": (
        [{"N": 2048, "tracking": True}],
        "memory",
        lambda r: [a.memory / 1e9 for a in r.assessments.values()],
    ),
    "ChunkExplorer": ([{"N": 256}], "flops", at_powers_of_two),
    "MemoryExplorer": ([{"kind": kind, "seed": 3} for kind in USED_BY], "kernels", lambda r: r.kernels),
    "ScanExplorer": ([{"route": route, "step": 9} for route in ROUTES], "context", lambda r: r.context),
    "SemiseparableExplorer": (
        [{"mixer": "DeltaProduct"}, {"mixer": "Mamba-3", "compare": "softmax attention", "decay": 0.7}],
        "M",
        lambda r: r.M if r.other is None else r.other,
    ),
    "TwoViews": ([{"mixer": mixer} for mixer in decays_only()], "y", lambda r: r.y_state[widgets.TwoViews.start.t]),
}


@each_explorer
def test_what_is_copied_computes_the_same_and_shows_the_same_explorer(
    opened: Opened, explorer: type[Explorer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matplotlib.pyplot.show", lambda: None)
    settings, name, truth = COPIED[explorer.__name__]
    for setting in settings:
        shown = opened(explorer, **setting)
        shown.view.get_by_role("button", name="Copy as code").click()
        *lines, call = shown.view.locator(".listing").inner_text().strip().splitlines()
        names: dict[str, Any] = {}
        exec("\n".join(lines), names)
        params = eval(call, names).params
        computed = getattr(sys.modules[explorer.__module__], "compute", choose)(params)
        np.testing.assert_allclose(names[name], truth(computed), rtol=0, atol=1e-10)
        assert explorer.describe(params) == shown.words.inner_text()
    plt.close("all")


@each_explorer
def test_on_the_web_the_settings_stand_in_the_address(opened: Opened, explorer: type[Explorer], page: Page) -> None:
    shown = opened(explorer, address=True)
    control = next(c for c in explorer.controls if c.kind in ("range", "play"))
    key, value = next_value(control, getattr(explorer.start, control.name))
    shown.control(control.label).press(key)
    page.wait_for_url(re.compile(f"#{control.name}="))
    page.reload()
    shown.shows(words_of(explorer, **{control.name: value}))


@each_explorer
def test_it_fits_and_its_contrast_and_labels_are_right_at_three_widths_on_both_papers(
    opened: Opened, explorer: type[Explorer], page: Page, axe: str, screenshots: Path
) -> None:
    shown = opened(explorer)
    shown.shows(words_of(explorer))
    page.evaluate(axe)
    for paper, ink in (("#ffffff", "#111111"), ("#111111", "#eeeeee")):
        page.evaluate(
            "([paper, ink]) => Object.assign(document.body.style, {background: paper, color: ink})", [paper, ink]
        )
        page.emulate_media(color_scheme="light" if paper == "#ffffff" else "dark")
        page.evaluate(
            "(scheme) => (document.documentElement.style.colorScheme = scheme)",
            "light" if paper == "#ffffff" else "dark",
        )
        for width in (360, 900, 1600):
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(50)
            page.screenshot(path=screenshots / f"{explorer.__name__}-{width}-{paper[1:]}.png", full_page=True)
            violations = page.evaluate("async () => (await axe.run('.lecture17-explorer')).violations")
            assert not violations, [(v["id"], [node["html"] for node in v["nodes"]]) for v in violations]
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_without_a_canvas_the_picture_stays(page: Page, tmp_path: Path) -> None:
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    shown = widgets.SemiseparableExplorer()
    (tmp_path / "x.html").write_text(f'<meta charset="utf-8">{shown.still()["text/html"]}', "utf-8")
    page.goto((tmp_path / "x.html").as_uri())
    page.wait_for_timeout(800)
    expect(page.locator(f'img[alt="{shown.words}"]')).to_be_visible()
    expect(page.locator(".lecture17-explorer")).to_have_count(0)


def panel(shown: ExplorerOnPage, title: str) -> Any:
    return shown.view.locator("figure", has=shown.view.page.locator("figcaption", has_text=title)).locator(".stage")


def at(
    shown: ExplorerOnPage, title: str, area: tuple[float, float, float, float], across: float, down: float
) -> tuple[float, float]:
    """The place on the page of fractions of a panel's axes, whose area is left, top, right, bottom in its own units."""
    stage = panel(shown, title)
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    width, height = (float(v) for v in stage.locator("svg").get_attribute("viewBox").split()[2:])
    left, top, right, bottom = area
    x, y = left + across * (width - left - right), top + down * (height - top - bottom)
    return box["x"] + x * box["width"] / width, box["y"] + y * box["height"] / height


HEAT, GRID = (34, 2, 8, 32), (24, 2, 8, 22)


@pytest.mark.parametrize(("title", "area"), [("M = L", HEAT), ("rank of each block", GRID)])
def test_a_click_on_a_block_chooses_it(opened: Opened, page: Page, title: str, area: Any) -> None:
    explorer = widgets.SemiseparableExplorer
    shown = opened(explorer)
    for row, column in ((3, 1), (2, 2), (0, 0)):
        page.mouse.click(*at(shown, title, area, (column + 0.5) / 4, (row + 0.5) / 4))
        shown.shows(words_of(explorer, row=row, column=column))
    page.mouse.click(*at(shown, title, area, 0.9, 0.1))  # above the diagonal there is nothing to choose
    shown.shows(words_of(explorer, row=0, column=0))


def test_a_border_is_dragged_to_change_the_chunks_and_the_dashed_line_to_change_the_decay(
    opened: Opened, page: Page
) -> None:
    explorer = widgets.SemiseparableExplorer
    shown = opened(explorer)
    page.mouse.move(*at(shown, "M = L", HEAT, 0.25, 0.9))
    page.mouse.down()
    page.mouse.move(*at(shown, "M = L", HEAT, 0.4, 0.9))
    page.mouse.move(*at(shown, "M = L", HEAT, 0.5, 0.9))
    page.mouse.up()
    shown.shows(words_of(explorer, chunk_size=32))
    page.mouse.move(*at(shown, "decay mask", HEAT, 0.1, 0.8))
    page.mouse.down()
    page.mouse.move(*at(shown, "decay mask", HEAT, 0.25, 0.375))  # 8 tokens from the diagonal
    page.mouse.up()
    shown.shows(words_of(explorer, chunk_size=32, decay=round(0.1 ** (1 / 8), 3)))


def test_pointing_at_an_entry_reads_it_and_arrow_keys_move_on(opened: Opened, page: Page) -> None:
    shown = opened(widgets.SemiseparableExplorer)
    page.mouse.move(*at(shown, "M = L", HEAT, 10.5 / 64, 20.5 / 64))
    expect(shown.view.locator(".readout")).to_contain_text("M[20, 10] = ")
    page.mouse.move(1, 1)
    panel(shown, "M = L").focus()
    panel(shown, "M = L").press("ArrowUp")
    expect(shown.view.locator(".readout")).to_contain_text("M[62, 0] = ")


def test_two_mixers_stand_side_by_side_with_what_differs(opened: Opened) -> None:
    shown = opened(widgets.SemiseparableExplorer, compare=True)
    expect(panel(shown, "softmax attention")).to_be_visible()
    expect(panel(shown, "M − the other")).to_be_visible()
    expect(shown.words).to_contain_text("The same block of softmax attention has rank 16")


@pytest.fixture
def player(opened: Opened) -> tuple[ExplorerOnPage, Locator, int]:
    """TwoViews at a slow speed, its slider that plays, and the slider's last value."""
    shown = opened(widgets.TwoViews)
    shown.control("speed").select_option("slow")
    return shown, shown.control("token t"), int(widgets.TwoViews.controls[0].high)


def test_reset_stops_what_plays(player: tuple[ExplorerOnPage, Locator, int], page: Page) -> None:
    shown, slider, _ = player
    shown.view.get_by_role("button", name="Play").click()
    expect(slider).not_to_have_value(str(widgets.TwoViews.start.t), timeout=PATIENCE)
    shown.view.get_by_role("button", name="Reset").click()
    expect(shown.view.get_by_role("button", name="Play")).to_be_visible()
    page.wait_for_timeout(1200)  # more than two steps
    shown.shows(words_of(widgets.TwoViews))


def test_play_begins_at_the_start_where_little_is_left_unless_it_was_paused_there(
    player: tuple[ExplorerOnPage, Locator, int],
) -> None:
    shown, slider, last = player
    for value, then in ((last - 2, 0), (last // 2, last // 2 + 1), (last, 0)):
        slider.fill(str(value))
        shown.view.get_by_role("button", name="Play").click()
        expect(slider).to_have_value(str(then))
        shown.view.get_by_role("button", name="Pause").click()
    little = last - int(0.2 * last)
    slider.fill(str(little - 1))
    shown.view.get_by_role("button", name="Play").click()
    expect(slider).to_have_value(str(little + 1), timeout=PATIENCE)
    shown.view.get_by_role("button", name="Pause").click()
    shown.view.get_by_role("button", name="Play").click()
    expect(slider).to_have_value(str(little + 2))


def test_the_dashed_line_is_explained_where_it_is_drawn(opened: Opened) -> None:
    for settings, drawn in (({"decay": 0.95}, True), ({"decay": 0.999}, False), ({"mixer": "linear attention"}, False)):
        shown = opened(widgets.SemiseparableExplorer, **settings)
        shown.shows(words_of(widgets.SemiseparableExplorer, **settings))
        assert bool(panel(shown, "mask L").locator("path.handle").get_attribute("d")) == drawn
        told = "The dashed line of the mask is where the mean decay leaves a tenth"
        assert (told in shown.view.locator(".readout").inner_text()) == drawn


DISK, IMAGE = (42, 4, 8, 34), (24, 4, 8, 22)


def test_an_eigenvalue_is_dragged_to_any_size_and_kind(opened: Opened, page: Page) -> None:
    explorer = widgets.MemoryExplorer
    shown = opened(explorer)

    def place(real: float, imaginary: float) -> tuple[float, float]:
        return at(shown, "eigenvalues", DISK, (1.15 + real) / 2.3, (1.15 - imaginary) / 2.3)

    page.mouse.move(*place(0.475, 0.82))
    page.mouse.down()
    for to, settings in (
        ((0, 0.8), {"size": 0.8, "period": 4}),
        ((-0.45, -0.78), {"size": 0.9, "period": 3}),
        ((-0.5, 0.02), {"size": 0.5, "kind": "a negative eigenvalue"}),
        ((0.7, -0.02), {"size": 0.7, "kind": "one decay"}),
        ((1.14, 0), {"size": 1.0, "kind": "one decay"}),
    ):
        page.mouse.move(*place(*to))
        shown.shows(words_of(explorer, **settings))
    page.mouse.up()
    shown.control("memory").select_option("gates set by the data")
    page.mouse.click(*place(0.7, 0.02))  # a positive kind stays
    shown.shows(words_of(explorer, size=0.7, kind="gates set by the data"))


def test_a_click_on_a_pixel_goes_to_the_step_that_reads_it(opened: Opened, page: Page) -> None:
    explorer = widgets.ScanExplorer
    shown = opened(explorer, side=4, route="row by row", step=0)
    for title in ("the path so far", "what the pixel sees"):
        for row, column in ((2, 1), (0, 3)):
            page.mouse.click(*at(shown, title, IMAGE, (column + 0.5) / 4, (row + 0.5) / 4))
            shown.shows(words_of(explorer, side=4, route="row by row", step=4 * row + column))
    page.mouse.move(*at(shown, "what the pixel sees", IMAGE, 0.6, 0.1))
    expect(shown.view.locator(".readout")).to_have_text(
        "Row 0, column 2: read at step 2, weight 0.9000 in the state after step 3"
    )


def test_the_still_has_all_settings(opened: Opened) -> None:
    shown = widgets.SemiseparableExplorer(N=50, decay=0.5)
    match = re.search(r'data-explorer="([^"]*)"', shown.still()["text/html"])
    assert match is not None
    assert json.loads(match[1].replace("&quot;", '"'))["state"] == asdict(shown.params)
