"""How long a move of a control takes in headless Chromium, from the input to the painted frame.

Needs Playwright, which comes with the extra "dev", and a Chromium or Chrome.
"""

import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lecture17 import widgets
from lecture17.figures.states import SIGNALS, Play
from lecture17.reference import retention

from .explorer import Explorer, Live
from .slider import Slider

# Browsers hand over input at the start of a frame: so does this. A message that is posted then arrives after the paint.
MOVE = """
async ([label, moves]) => {
  const control = [...document.querySelectorAll(".lecture17-explorer input[type=range]")]
    .find((input) => input.labels[0]?.textContent === label);
  if (!control.getClientRects().length) return [0];
  const [low, high, step] = ["min", "max", "step"].map((name) => Number(control[name]));
  const stops = Math.round((high - low) / step) + 1;
  const took = [];
  for (let k = 0; k < moves; k += 1) {
    took.push(await new Promise((resolve) => requestAnimationFrame(() => {
      const begin = performance.now();
      control.value = low + step * (k % stops);
      control.dispatchEvent(new Event("input"));
      const painted = new MessageChannel();
      painted.port1.onmessage = () => resolve(performance.now() - begin);
      painted.port2.postMessage(0);
    })));
  }
  return took;
}
"""


class Redraw(NamedTuple):
    """Milliseconds: medians of moves in the browser, of one picture by the kernel, and until the first picture."""

    explorer: str
    label: str
    browser: float
    kernel: float
    first: float


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ON_A_MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")


def find_browser() -> str | None:
    """The Chromium or Chrome of this machine."""
    return next(filter(None, map(shutil.which, BROWSERS)), None) or (str(ON_A_MAC) if ON_A_MAC.exists() else None)


@contextmanager
def chromium() -> Iterator[Any]:
    """That browser, without a window. Raises RuntimeError where there is none."""
    if find_browser() is None:
        raise RuntimeError("no Chromium or Chrome was found on this machine")
    with import_module("playwright.sync_api").sync_playwright() as playwright:
        # Chromium refuses its sandbox to root, which is who runs in a container.
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        yield browser
        browser.close()


def play(gamma: float) -> Play:
    """RetNet at work on random inputs, for a slider as in 01_tour."""
    Q, K, V = np.random.RandomState(0).standard_normal((3, 24, len(SIGNALS)))
    states = np.stack([retention.recurrent(Q[:t], K[:t], V[:t], gamma)[1] for t in range(1, len(V) + 1)])
    M = retention.matrix(Q, K, V, gamma)
    return Play(M, states, V, M @ V, f"RetNet with γ = {gamma:g}")


def redraws(moves: int = 200) -> Iterator[Redraw]:
    """A slider, the slowest range of every explorer, and of the semiseparable one at N = 64 and at N = 128."""
    settings: dict[str, list[dict[str, Any]]] = {"SemiseparableExplorer": [{"N": 64}, {"N": 128}]}
    with chromium() as browser:
        slider = Slider(play, "decay γ", 0.3, 1.0, value=0.9)
        yield redraw(browser, slider, slider.control.label, moves)
        for name in widgets.__all__:
            if issubclass(explorer := getattr(widgets, name), Explorer):
                for setting in settings.get(name, [{}]):
                    shown = explorer(**setting)
                    labels = [c.label for c in explorer.controls if c.kind in ("range", "play")]
                    yield max((redraw(browser, shown, label, moves) for label in labels), key=lambda r: r.browser)


def redraw(browser: Any, explorer: Live, label: str, moves: int) -> Redraw:
    """Move the control with this label so many times, one frame each; and let Matplotlib draw the same in turn."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "explorer.html"
        file.write_text(f'<!doctype html><meta charset="utf-8">{explorer.still()["text/html"]}', encoding="utf-8")
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        begin = time.perf_counter()
        page.goto(file.as_uri())
        page.wait_for_selector(".lecture17-explorer .words:not(:empty)")
        first = time.perf_counter() - begin
        page.evaluate("document.querySelectorAll('details').forEach((fold) => (fold.open = true))")
        page.evaluate(MOVE, [label, 20])  # the browser compiles what runs often
        took = page.evaluate(MOVE, [label, moves])
        page.close()
    begin = time.perf_counter()
    explorer.draw().png()
    drawn = time.perf_counter() - begin
    name = type(explorer).__name__ + (f", N = {explorer.N}" if hasattr(explorer, "N") else "")
    return Redraw(name, label, statistics.median(took), 1000 * drawn, 1000 * first)
