"""The moving picture of the README: an explorer in a page, one frame after each move of a slider.

python docs/moving.py        writes docs/explorer.gif; needs the environment of `make test` and Chromium
"""

import io
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageOps

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from lecture17.widgets import SemiseparableExplorer  # noqa: E402
from lecture17.widgets.redraws import chromium  # noqa: E402

DOWN = [round(0.95 - 0.025 * k, 3) for k in range(1, 13)]
MOVES = [*(("mean decay", decay) for decay in DOWN), *(("state size r", r) for r in (6, 8, 12, 16))]
MOVES += [("mean decay", decay) for decay in (*DOWN[-2::-1], 0.95)]
COLORS = 128
FRAME, REST = 150, 2000  # milliseconds
WIDTH = 740  # pixels of the page
SET = """([label, value]) => {
  const slider = [...document.querySelectorAll("input[type=range]")].find((s) => s.labels[0].textContent === label);
  slider.value = value;
  slider.dispatchEvent(new Event("input"));
}"""


def frames(folder: Path) -> Iterator[Image.Image]:
    """Pictures of the explorer: as it opens, then after each move."""
    file = folder / "explorer.html"
    still = SemiseparableExplorer().still()["text/html"]
    file.write_text(f'<!doctype html><meta charset="utf-8"><body style="background: white">{still}', encoding="utf-8")
    with chromium() as browser:
        page = browser.new_page(viewport={"width": WIDTH, "height": 1000})
        page.goto(file.as_uri())
        shown = page.locator(".lecture17-explorer")
        shown.locator(".words:not(:empty)").wait_for()
        for move in (None, *MOVES):
            if move is not None:
                page.evaluate(SET, list(move))
                page.evaluate("new Promise((painted) => requestAnimationFrame(() => setTimeout(painted)))")
            picture = Image.open(io.BytesIO(shown.screenshot())).convert("RGB")
            yield ImageOps.expand(picture, 16, "white")


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        pictures = list(frames(Path(scratch)))
    palette = pictures[len(DOWN)].quantize(COLORS)  # one for all, so that no color flickers
    size = tuple(max(sizes) for sizes in zip(*(picture.size for picture in pictures), strict=True))
    pictures = [
        ImageOps.pad(p, size, color="white", centering=(0, 0)).quantize(palette=palette, dither=Image.Dither.NONE)
        for p in pictures
    ]
    target = ROOT / "docs" / "explorer.gif"
    lengths = [REST, *[FRAME] * (len(pictures) - 2), REST]
    pictures[0].save(target, save_all=True, append_images=pictures[1:], duration=lengths, loop=0, optimize=True)
    print(f"{target}: {len(pictures)} frames, {target.stat().st_size / 2**20:.2f} MB")


if __name__ == "__main__":
    main()
