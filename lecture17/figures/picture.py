"""What every picture of the course shares: palette and font sizes, the figure that describes itself, axes and lines.

The palette is safe for color-blind readers: the named colors are Okabe and Ito's, magnitudes use a perceptually even
map, signed values a diverging one centered at zero, and nothing sets red against green. Pictures are made without
pyplot: nothing to close, nothing kept alive, no backend to choose.
"""

import base64
import html
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import NullLocator

MAGNITUDES = "viridis"
SIGNED = "PuOr_r"  # orange above zero, purple below, white at zero

# The course's recurring quantities: one color each, in every notebook.
DIAGONAL = "#0072B2"  # blocks on the diagonal: inside a chunk
OFF_DIAGONAL = "#E69F00"  # blocks below the diagonal: between chunks
STATE = "#009E73"
OUTPUT = "#CC79A7"
ATTENTION = "#D55E00"  # softmax, the one that is not an SSM
NEUTRAL = "#555555"  # reference lines, what came before

RENDERED_DPI = 144
CSS_DPI = 96  # a point of text in the figure is a point of text on the page

# Decorates every figure function: what it draws has the course's look, whatever a matplotlibrc or a cell has set.
styled = mpl.rc_context(
    {name: value for name, value in mpl.rcParamsDefault.items() if name not in ("backend", "backend_fallback")}
    | {
        "figure.facecolor": "white",
        "axes.facecolor": "white",
        "text.color": "black",
        "axes.edgecolor": "black",
        "axes.labelcolor": "black",
        "xtick.color": "black",
        "ytick.color": "black",
        "font.family": "DejaVu Sans",  # comes with Matplotlib, so pictures look alike on every machine
        "font.size": 10,
        "figure.titlesize": 12,
        "axes.titlesize": 11,
        "axes.labelsize": 10,
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        "legend.fontsize": 9,
        "legend.frameon": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "image.cmap": MAGNITUDES,
        "image.interpolation": "nearest",
        "lines.linewidth": 1.8,
        "lines.markersize": 5,
    }
)


def image_html(png: bytes, width: int, description: str) -> str:
    """A picture for a page that stands alone: `width` CSS pixels wide, its description as alternative text."""
    data = base64.b64encode(png).decode("ascii")
    return (
        f'<img alt="{html.escape(description)}" style="max-width:100%" width="{width}" '
        f'src="data:image/png;base64,{data}">'
    )


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

    def in_rows(self, number: int, columns: int | None = None, **shared: Any) -> np.ndarray:
        """`number` axes, in rows of `columns` (all in one row unless given)."""
        columns = columns or number
        axes = self.subplots(-(-number // columns), columns, squeeze=False, **shared).ravel()
        for ax in axes[number:]:
            ax.remove()
        return axes[:number]

    @styled
    def png(self) -> bytes:
        """The picture as a PNG file, sharp on screens of up to one and a half times the usual resolution."""
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=RENDERED_DPI, facecolor="white")
        return file.getvalue()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        image = image_html(self.png(), round(self.get_figwidth() * CSS_DPI), self.description)
        return {"text/html": image, "text/plain": self.description}


def lines_over_sizes(ax: Axes, sizes: Sequence[int], lines: Mapping[str, Any], colors: Iterable[str]) -> None:
    """Named lines against sizes, on a logarithmic axis with a tick for each size."""
    for (name, values), color, marker in zip(lines.items(), colors, "os^D", strict=False):
        ax.plot(sizes, values, marker + "-", color=color, label=name)
    log2_axis(ax, sizes)


def log2_axis(ax: Axes, sizes: Sequence[int]) -> None:
    """The horizontal axis to the base 2, with a tick for each size."""
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes, [f"{n:,}" for n in sizes])
    ax.xaxis.set_minor_locator(NullLocator())


def name_ends(ax: Axes, ends: Mapping[str, float], looks: Mapping[str, Mapping[str, Any]]) -> None:
    """Names to the right of the axes, each where its line ends or where there is room, behind a sample of the line.

    Call it when the axes have their limits.
    """
    room = 18 / ax.bbox.height * ax.figure.dpi / 72  # for a line of 9 points
    to_axes = ax.transScale + ax.transLimits
    names = sorted(ends, key=lambda name: ends[name])
    heights = [float(to_axes.transform((ax.get_xlim()[1], ends[name]))[1]) for name in names]
    for i in range(1, len(heights)):
        heights[i] = max(heights[i], heights[i - 1] + room)
    highest = 1.0
    for i in reversed(range(len(heights))):
        heights[i] = min(heights[i], highest)
        highest = heights[i] - room
    for name, height in zip(names, heights, strict=True):
        ax.plot([1.02, 1.06], 2 * [height], transform=ax.transAxes, clip_on=False, **looks[name])
        here = (1.06, height)
        ax.annotate(name, here, (7, 0), "axes fraction", textcoords="offset points", va="center", fontsize=9)


def each(values: Mapping[str, Any], words: Callable[[Any], str]) -> str:
    """Each name, followed by the `words` of its value."""
    return "; ".join(f"{name}, {words(value)}" for name, value in values.items())


def ends(values: Sequence[Any] | np.ndarray, form: str = "") -> str:
    """The first and the last of some values in words."""
    return f"from {values[0]:{form}} to {values[-1]:{form}}"
