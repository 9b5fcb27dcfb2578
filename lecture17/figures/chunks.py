"""The chunkwise algorithm: which step computes which block, and what the chunk size costs."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import LogLocator, NullLocator

from ._picture import Picture
from ._style import DIAGONAL, OFF_DIAGONAL, OUTPUT, STATE, styled


def _block(ax: Axes, x: float, y: float, color: str, text: str, text_color: str = "black") -> None:
    ax.add_patch(Rectangle((x + 0.03, y + 0.03), 0.94, 0.94, facecolor=color, edgecolor="none"))
    ax.text(x + 0.5, y + 0.5, text, ha="center", va="center", color=text_color)


@styled
def chunk_grid(n_chunks: int, *, title: str) -> Picture:
    """The matrix cut into chunks, each block with the steps of the algorithm that compute it."""
    picture = Picture(
        title,
        f"A lower-triangular matrix cut into {n_chunks} × {n_chunks} blocks. The {n_chunks} blocks on the diagonal "
        f"come from step 1 alone; the {n_chunks - 1} just below them from steps 2 and 4, which write and read the "
        f"state; the {(n_chunks - 1) * (n_chunks - 2) // 2} farther below also from step 3, which hands the state from "
        "chunk to chunk. Every block of a column shares its step 2, every block of a row its step 4.",
        size=(9.0, 4.8),
    )
    ax = picture.subplots()
    strip = n_chunks + 0.25  # where the factors that a whole row or column shares are drawn
    for row in range(n_chunks):
        for column in range(row):
            _block(ax, column, row, OFF_DIAGONAL, "2→4" if row - column == 1 else "2→3→4")
        _block(ax, row, row, DIAGONAL, "1", "white")
        _block(ax, row, strip, STATE, "2")
        _block(ax, strip, row, OUTPUT, "4")
        if row:
            ax.annotate("", (row + 0.35, strip + 1.2), (row - 0.35, strip + 1.2), arrowprops={"arrowstyle": "->"})
            ax.text(row, strip + 1.45, "3", ha="center", va="center")
    centers, names = np.arange(n_chunks) + 0.5, [f"chunk {c}" for c in range(n_chunks)]
    ax.set(xlabel="written in", ylabel="read in", aspect="equal")
    ax.set(xlim=(0, strip + 1.0), ylim=(strip + 1.6, 0))
    ax.set_xticks(centers, names)
    ax.set_yticks(centers, names)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    steps = {
        "1  inside a chunk: masked attention": DIAGONAL,
        "2  write: what a chunk adds to the state": STATE,
        "3  hand on: the state decays along the arrows": "white",
        "4  read: what the outputs take from the state": OUTPUT,
        "rank at most d_state: never built": OFF_DIAGONAL,
    }
    picture.legend(handles=[Patch(color=c, label=name) for name, c in steps.items()], loc="outside right center")
    return picture


@styled
def chunk_cost(chunk_sizes: np.ndarray, costs: Mapping[str, np.ndarray], *, title: str) -> Picture:
    """Each of the named costs against the chunk size, its minimum marked."""
    best = {name: chunk_sizes[np.argmin(cost)] for name, cost in costs.items()}
    picture = Picture(
        title,
        f"Costs against the chunk size from {chunk_sizes[0]} to {chunk_sizes[-1]}, both axes logarithmic: "
        + "; ".join(
            f"{name} go from {cost[0]:,.0f} down to {cost.min():,.0f} at chunk size {best[name]} and up to "
            f"{cost[-1]:,.0f}"
            for name, cost in costs.items()
        )
        + ".",
    )
    for ax, (name, cost) in zip(picture.subplots(1, len(costs), squeeze=False)[0], costs.items(), strict=True):
        ax.plot(chunk_sizes, cost, color=DIAGONAL)
        ax.plot(best[name], cost.min(), "o", color=OFF_DIAGONAL, markersize=9)
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        ax.set(title=f"fewest at chunk size {best[name]}", xlabel="chunk size of the chunkwise form", ylabel=name)
        ax.xaxis.set_major_formatter("{x:.0f}")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:,.0f}")
        ax.yaxis.set_minor_locator(NullLocator())
    return picture
