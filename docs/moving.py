"""The moving picture of the README: an explorer in a real JupyterLab, one frame after each move of a control.

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
from tests.browser.conftest import write_notebook  # noqa: E402
from tests.browser.lab import PATIENCE, ExplorerOnPage, Lab, chromium, serve  # noqa: E402

MOVES = (("mean decay", "ArrowLeft", 4), ("state size", "ArrowRight", 2), ("mean decay", "ArrowRight", 4))
COLORS = 96
FRAME, REST = 500, 2000  # milliseconds
WIDTH = 1000  # pixels of the page; the picture is as wide as the explorer in it


def frames(course: Path) -> Iterator[Image.Image]:
    """Pictures of the explorer: as it opens, then after each press of a key."""
    (course / "solutions").mkdir()  # by which the package knows a course
    write_notebook(course / "explorer.ipynb", ["from lecture17 import widgets\n\nwidgets.SemiseparableExplorer()"])
    with serve(course, course) as address, chromium() as browser:
        lab = Lab(browser.new_page(viewport={"width": WIDTH, "height": 1000}), address)
        lab.open("explorer.ipynb")
        lab.run_all()
        lab.idle()
        shown = ExplorerOnPage(lab.page.locator(".lecture17-explorer"))
        shown.image.wait_for(timeout=PATIENCE)
        for label, key, times in ((None, None, 1), *MOVES):
            for _ in range(times):
                if label is not None:
                    words = shown.words.inner_text()
                    shown.control(label).press(key)
                    lab.page.wait_for_function(
                        "words => document.querySelector('.lecture17-explorer .words').innerText !== words", arg=words
                    )
                    lab.page.wait_for_timeout(500)  # until the picture is drawn
                picture = Image.open(io.BytesIO(shown.view.screenshot())).convert("RGB")
                yield ImageOps.expand(picture, 16, "white")


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        pictures = [frame.quantize(COLORS, dither=Image.Dither.NONE) for frame in frames(Path(scratch))]
    target = ROOT / "docs" / "explorer.gif"
    lengths = [REST, *[FRAME] * (len(pictures) - 2), REST]
    pictures[0].save(target, save_all=True, append_images=pictures[1:], duration=lengths, loop=0, optimize=True)
    print(f"{target}: {len(pictures)} frames, {target.stat().st_size / 2**20:.2f} MB")


if __name__ == "__main__":
    main()
