"""How long a move of a control takes in headless Chromium, from the input to the painted frame.

Needs Playwright and a Chromium or Chrome, which authors have (extra "dev").
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser

from .explorer import Live

# Browsers hand over input at the start of a frame: so does this. A message that is posted then arrives after the paint.
MOVE = """
async ([label, moves]) => {
  const control = [...document.querySelectorAll(".lecture17-explorer input[type=range]")]
    .find((input) => input.labels[0]?.textContent === label);
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

    label: str
    browser: float
    kernel: float
    first: float


def redraw(browser: Browser, explorer: Live, label: str, moves: int = 200) -> Redraw:
    """Move the control with this label so many times, one frame each; and let Matplotlib draw the same in turn."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "explorer.html"
        file.write_text(f'<!doctype html><meta charset="utf-8">{explorer.still()["text/html"]}', encoding="utf-8")
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        begin = time.perf_counter()
        page.goto(file.as_uri())
        page.wait_for_selector(".lecture17-explorer .words:not(:empty)")
        first = time.perf_counter() - begin
        page.evaluate(MOVE, [label, 20])  # the browser compiles what runs often
        took = page.evaluate(MOVE, [label, moves])
        page.close()
    drawn = []
    for _ in range(5):
        begin = time.perf_counter()
        explorer.draw().png()
        drawn.append(time.perf_counter() - begin)
    return Redraw(label, statistics.median(took), 1000 * statistics.median(drawn), 1000 * first)
