"""A Matplotlib figure that shows itself in a notebook and says in words what it shows.

Pictures are made without pyplot: nothing to close, nothing kept alive, no backend to choose.
"""

import base64
import html
import io
from typing import Any

from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from ._style import styled

RENDERED_DPI = 144
CSS_DPI = 96  # a point of text in the figure is a point of text on the page


class Picture(Figure):
    """A figure with a title that says its message and a one-sentence `description` for those who cannot see it.

    In a notebook the last expression of a cell shows itself: as an image with the description as alternative
    text, and as the description alone where there are no images. Save it with `savefig` like any other figure.
    """

    def __init__(self, title: str, description: str, size: tuple[float, float] = (9.0, 3.6)) -> None:
        super().__init__(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08))
        self.suptitle(title, wrap=True)
        self.description = description

    @styled  # ticks are made while drawing, in the style of that moment
    def draw(self, renderer: RendererBase) -> None:
        super().draw(renderer)

    def png(self) -> bytes:
        """The picture as a PNG file, sharp on screens of up to one and a half times the usual resolution."""
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=RENDERED_DPI, facecolor="white")
        return file.getvalue()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        data = base64.b64encode(self.png()).decode("ascii")
        width = round(self.get_figwidth() * CSS_DPI)
        image = (
            f'<img alt="{html.escape(self.description)}" style="max-width:100%" width="{width}" '
            f'src="data:image/png;base64,{data}">'
        )
        return {"text/html": image, "text/plain": self.description}
