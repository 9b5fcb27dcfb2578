"""A picture that follows a slider: what moves is drawn again over a background that was drawn once."""

import io

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imsave

from ._picture import RENDERED_DPI, Picture
from ._style import styled


class LivePicture(Picture):
    """A picture whose `moving` artists may change between one `png()` and the next, and nothing else.

    Laying out and drawing all text of a figure takes a few tenths of a second, drawing a few images and lines a few
    hundredths. The first `png()` does the former; from then on the layout is fixed and `moving` alone is drawn, in
    its order, over what does not change.
    """

    def __init__(self, title: str, description: str, size: tuple[float, float]) -> None:
        super().__init__(title, description, size)
        self.set_dpi(RENDERED_DPI)
        self.agg = FigureCanvasAgg(self)
        self.moving: list[Artist] = []

    @styled
    def png(self) -> bytes:
        if not hasattr(self, "_background"):
            self._background = self._draw_background()
        self.agg.restore_region(self._background)
        for artist in self.moving:
            artist.draw(self.agg.get_renderer())
        file = io.BytesIO()
        # Fastest compression: the file goes no farther than from the kernel to the browser.
        imsave(file, np.asarray(self.agg.buffer_rgba()), format="png", pil_kwargs={"compress_level": 1})
        return file.getvalue()

    def _draw_background(self) -> object:
        """Lay everything out, then draw all that does not move."""
        self.agg.draw()
        self.set_layout_engine("none")
        shown = [artist for artist in self.moving if artist.get_visible()]
        for artist in shown:
            artist.set_visible(False)
        self.agg.draw()
        for artist in shown:
            artist.set_visible(True)
        return self.agg.copy_from_bbox(self.bbox)
