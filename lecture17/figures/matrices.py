"""Sequence mixers as matrices: one token a row, one token a column."""

import numpy as np
from matplotlib.axes import Axes

from ._picture import Picture
from ._style import MAGNITUDES, OUTPUT, SIGNED, STATE, styled


def draw_matrix(ax: Axes, M: np.ndarray, title: str) -> None:
    """`M` as an image: signed values around white, magnitudes from dark to light, nothing above the diagonal."""
    largest = np.abs(M).max()
    signed = M.min() < 0
    shown = np.where(np.tri(*M.shape, dtype=bool), M, np.nan) if not np.triu(M, 1).any() else M
    image = ax.imshow(shown, cmap=SIGNED if signed else MAGNITUDES, vmin=-largest if signed else 0, vmax=largest)
    ax.figure.colorbar(image, ax=ax, shrink=0.8)
    ax.set(title=title, xlabel="written at token j", ylabel="read at token i")


@styled
def matrix_state_output(
    M: np.ndarray, states: np.ndarray, y: np.ndarray, y_from_state: np.ndarray | None = None, *, title: str
) -> Picture:
    """One map, three faces: its matrix `M` (N, N), the state after each token (N, …), the output `y` (N, d).

    `y_from_state`, the output as the recurrence gives it, is drawn as circles on the lines of `y`.
    """
    states = states.reshape(len(states), -1)
    circles = (
        "" if y_from_state is None else f", circles at most {np.abs(y - y_from_state).max():.2f} away from the lines"
    )
    picture = Picture(
        title,
        f"Left, the {len(M)} × {len(M)} matrix M, entries from {M.min():.2f} to {M.max():.2f}; middle, the "
        f"{states.shape[1]} number(s) of the state after each of {len(states)} tokens, at most "
        f"{np.abs(states).max():.2f} in size; right, the output y, {y.shape[1]} line(s) from {y.min():.2f} to "
        f"{y.max():.2f}{circles}.",
        size=(9.6, 3.4),
    )
    left, middle, right = picture.subplots(1, 3, width_ratios=(1.15, 1.15, 1))
    draw_matrix(left, M, "the matrix M")

    largest = np.abs(states).max()
    image = middle.imshow(states.T, cmap=SIGNED, vmin=-largest, vmax=largest, aspect="auto")
    picture.colorbar(image, ax=middle, shrink=0.8)
    middle.set(title="the state", xlabel="after token t", ylabel="number of the state")

    right.plot(y[:, 0], color=OUTPUT, label="y = M x")
    right.plot(y[:, 1:], color=OUTPUT)
    if y_from_state is not None:
        right.plot(y_from_state[:, 0], "o", color=STATE, fillstyle="none", label="from the state")
        right.plot(y_from_state[:, 1:], "o", color=STATE, fillstyle="none")
        right.legend(loc="best")
    right.set(title="the output y", xlabel="token t", ylabel="value")
    return picture
