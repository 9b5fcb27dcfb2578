"""ScanExplorer: an image read as a sequence, and what a pixel still sees of the pixels before it. For 04c_vision.

A pixel that was read k steps ago has weight decay^k in the state, and near in the image is not near in the sequence.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from lecture17.figures.picture import DIAGONAL, MAGNITUDES, OFF_DIAGONAL, OUTPUT, Picture, styled
from lecture17.reference import scan2d

from .explorer import Control, Explorer

ROUTES = ("row by row", "column by column", "row by row, reversed", "column by column, reversed", "Hilbert", "Z-order")
LARGEST = 32  # pixels a side
N_BINS = 10  # distances from 1, 2, 4, …, 512 to just below the next power of two


@dataclass(frozen=True)
class Params:
    side: int = 8
    route: str = "Hilbert"
    step: int = 36
    decay: float = 0.9


CONTROLS = (
    Control("side", "pixels a side", low=2, high=LARGEST),
    Control("route", "route", "choice", ROUTES),
    Control("step", "step", "play", low=0, high=LARGEST**2 - 1),
    Control("decay", "decay per step", low=0, high=1, step=0.005),
)


def settle(params: Params) -> Params:
    """The step of an image that has so many pixels."""
    return replace(params, step=min(params.step, params.side**2 - 1))


@dataclass(frozen=True)
class Result:
    """One route over the image, and one pixel of it."""

    order: np.ndarray  # (side²,): the pixel read at each step, as an index in row-by-row order
    position: np.ndarray  # (side, side): the step at which each pixel is read
    distances: np.ndarray  # (pairs,): steps between the two pixels of each pair of neighbors in a row or in a column
    context: np.ndarray  # (side, side): weight of each pixel in the state after `step`, 0 where not read yet
    pixel: tuple[int, int]  # row and column of the pixel read at `step`
    neighbors: tuple[float, ...]  # weights of its neighbors that were read before it, largest first

    @property
    def shares(self) -> np.ndarray:
        """(N_BINS,): share of the pairs of neighbors whose distance falls into each bin."""
        bins = np.floor(np.log2(self.distances)).astype(int)
        return np.bincount(bins, minlength=N_BINS) / len(bins)


@lru_cache(maxsize=8)
def compute(params: Params) -> Result:
    n = params.side
    orders = [*scan2d.routes(n, n)[[0, 1, 2, 3]], scan2d.hilbert(n, n), scan2d.z_order(n, n)]
    order = orders[ROUTES.index(params.route)]
    position = np.argsort(order).reshape(n, n)
    beside = np.abs(np.diff(position, axis=1)).ravel()
    below = np.abs(np.diff(position, axis=0)).ravel()
    age = params.step - position
    context = np.where(age >= 0, params.decay ** np.maximum(age, 0).astype(float), 0.0)
    row, column = divmod(int(order[params.step]), n)
    around = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
    weights = [context[i, j] for i, j in around if 0 <= i < n and 0 <= j < n and age[i, j] > 0]
    return Result(
        order,
        position,
        np.concatenate([beside, below]),
        context,
        (row, column),
        tuple(sorted((float(weight) for weight in weights), reverse=True)),
    )


def describe(params: Params) -> str:
    r = compute(params)
    seen = (
        f"{len(r.neighbors)} of its neighbors came before it, with weight{'s' * (len(r.neighbors) > 1)} "
        f"{_listed(r.neighbors)}"
        if r.neighbors
        else "none of its neighbors came before it"
    )
    return (
        f"Route “{params.route}” over {params.side} × {params.side} pixels: step {params.step} reads the pixel in "
        f"row {r.pixel[0]}, column {r.pixel[1]}; {seen} (decay {params.decay:g} per step). Neighboring pixels are read "
        f"{r.distances.mean():.1f} steps apart on average, {r.distances.max()} at most, and {r.shares[0]:.0%} of the "
        "pairs directly one after the other."
    )


def _listed(weights: tuple[float, ...]) -> str:
    *first, last = (f"{weight:.2f}" if weight >= 0.005 else "nearly 0" for weight in weights)
    return f"{', '.join(first)} and {last}" if first else last


def headline(params: Params) -> str:
    apart = f"{compute(params).distances.mean():.1f} steps apart on average"
    return f"{params.route.capitalize()}: neighbors are read {apart}"


@styled
def picture(params: Params) -> Picture:
    """The path over the image, what the current pixel sees, and how far apart neighbors are read."""
    r, n = compute(params), params.side
    made = Picture(headline(params), describe(params), (7.4, 5.4))
    rows = made.add_gridspec(2, 1, height_ratios=(2.3, 1), hspace=0.08)
    above = rows[0].subgridspec(1, 2)
    path, context = made.add_subplot(above[0]), made.add_subplot(above[1])
    row, column = np.divmod(r.order, n)
    path.imshow(ring(n), cmap="Greys", vmin=0, vmax=2.5)
    path.plot(column, row, color=OFF_DIAGONAL, linewidth=0.8)
    path.plot(column[: params.step + 1], row[: params.step + 1], color=DIAGONAL)
    path.set_title("the path so far", y=1.02)
    weights = context.imshow(r.context, cmap=MAGNITUDES, vmin=0, vmax=1)
    context.set_title("what the pixel sees", y=1.02)
    made.colorbar(weights, ax=context, label="weight", ticks=[0, 0.5, 1], shrink=0.8)
    dot: dict[str, Any] = {"color": OUTPUT, "markeredgecolor": "black"}
    for ax in (path, context):
        ax.plot(*r.pixel[::-1], "o", **dot)
        ax.set(xlabel="column", ylabel="row", xticks=(), yticks=())
    _draw_shares(made.add_subplot(rows[1]), r, n)
    return made


def ring(n: int) -> np.ndarray:
    """An image of n × n pixels, for something to look at."""
    across, down = np.meshgrid(*[np.linspace(-1, 1, n)] * 2)
    return np.exp(-20 * (np.hypot(across, down) - 0.7) ** 2)


def _draw_shares(ax: Axes, r: Result, n: int) -> None:
    bins = 2 ** np.arange(N_BINS)
    ax.bar(bins, r.shares, bins, align="edge", color=DIAGONAL, edgecolor="white")
    ax.set(title="pairs of neighboring pixels", ylabel="share", ylim=(0, 1), xlabel="steps apart in the sequence")
    ax.set(xscale="log", xlim=(1, 2 * bins[bins < n * n][-1]))
    ax.set_xticks(bins[bins < n * n], bins[bins < n * n])
    ax.minorticks_off()
    ax.set_yticks([0, 0.5, 1], ["0", "1/2", "1"])


class ScanExplorer(Explorer):
    """Follow a route over an image, and see which of its neighbors the state still remembers when a pixel is read."""

    start = Params()
    controls = CONTROLS
    settle = staticmethod(settle)
    describe = staticmethod(describe)
    picture = staticmethod(picture)
