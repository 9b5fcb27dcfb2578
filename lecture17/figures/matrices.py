"""Sequence mixers as matrices: one row and one column per token."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from .picture import MAGNITUDES, OFF_DIAGONAL, OUTPUT, SIGNED, STATE, Picture, each, styled


def lower_triangle(M: np.ndarray) -> np.ndarray:
    """`M` with the zeros above the diagonal hidden."""
    return np.where(np.tri(len(M)) + np.abs(M) > 0, M, np.nan)


def draw_matrix(ax: Axes, M: np.ndarray, title: str, like: Sequence[np.ndarray] = ()) -> AxesImage:
    """`M` as an image: signed values around white, magnitudes from dark to light, nothing above the diagonal.

    The color scale covers the numbers of M and of all matrices in `like`.
    """
    largest = max(np.abs(m).max() for m in (M, *like))
    signed = min(m.min() for m in (M, *like)) < 0
    cmap, least = (SIGNED, -largest) if signed else (MAGNITUDES, 0)
    image = ax.imshow(lower_triangle(M), cmap=cmap, vmin=least, vmax=largest)
    ax.figure.colorbar(image, ax=ax, shrink=0.8)
    ax.set(title=title, xlabel="written at token j", ylabel="read at token i")
    return image


def _draw_states(ax: Axes, states: np.ndarray, title: str) -> None:
    largest = np.abs(states).max()
    image = ax.imshow(states.T, cmap=SIGNED, vmin=-largest, vmax=largest, aspect="auto")
    ax.figure.colorbar(image, ax=ax, shrink=0.8)
    ax.set(title=title, xlabel="after token t", ylabel="state entry")


def _draw_output(ax: Axes, y: np.ndarray, name: str, other: np.ndarray | None, other_name: str) -> None:
    """The columns of `y` as lines, those of `other` as circles on them."""
    ax.plot(y[:, 0], color=OUTPUT, label=name)
    ax.plot(y[:, 1:], color=OUTPUT)
    if other is not None:
        ax.plot(other[:, 0], "o", color=STATE, fillstyle="none", label=other_name)
        ax.plot(other[:, 1:], "o", color=STATE, fillstyle="none")
        ax.legend(loc="best")
    ax.set(title="the output y", xlabel="token t", ylabel="value")


@styled
def matrix_state_output(
    M: np.ndarray,
    states: np.ndarray,
    y: np.ndarray,
    y_from_state: np.ndarray | None = None,
    *,
    title: str,
    name: str = "M",
) -> Picture:
    """One map in three panels: its matrix `M` (N, N), the state after each token (N, …), the output `y` (N, d).

    `y_from_state`, the output as the recurrence gives it, is drawn as circles on the lines of `y`.
    """
    states = states.reshape(len(states), -1)
    circles = (
        "" if y_from_state is None else f", circles at most {np.abs(y - y_from_state).max():.2f} away from the lines"
    )
    picture = Picture(
        title,
        f"Left, the {len(M)} × {len(M)} matrix {name}, entries from {M.min():.2f} to {M.max():.2f}; middle, the "
        f"{states.shape[1]} number(s) of the state after each of {len(states)} tokens, at most "
        f"{np.abs(states).max():.2f} in size; right, the output y, {y.shape[1]} line(s) from {y.min():.2f} to "
        f"{y.max():.2f}{circles}.",
        size=(9.6, 3.4),
    )
    left, middle, right = picture.subplots(1, 3, width_ratios=(1.15, 1.15, 1))
    draw_matrix(left, M, f"the matrix {name}")
    _draw_states(middle, states, "the state")
    _draw_output(right, y, f"y = {name} x", y_from_state, "from the state")
    return picture


@styled
def state_in_two_bases(
    states: np.ndarray, others: np.ndarray, y: np.ndarray, y_from_others: np.ndarray, *, title: str
) -> Picture:
    """The states (N, …) of one map in two coordinate systems, and the outputs (N, d) read from either."""
    states, others = states.reshape(len(states), -1), others.reshape(len(others), -1)
    picture = Picture(
        title,
        f"Left and middle, the {states.shape[1]} numbers of the state after each of {len(states)} tokens in two bases, "
        f"up to {np.abs(states - others).max():.2f} apart; right, the outputs read from either, {y.shape[1]} line(s), "
        f"at most {np.abs(y - y_from_others).max():.2f} apart.",
        size=(9.6, 3.1),
    )
    left, middle, right = picture.subplots(1, 3, width_ratios=(1.15, 1.15, 1))
    _draw_states(left, states, "the state S")
    _draw_states(middle, others, "the state T S")
    _draw_output(right, y, "from S", y_from_others, "from T S")
    return picture


@styled
def mask_times_gram(L: np.ndarray, gram: np.ndarray, *, title: str) -> Picture:
    """The decay mask `L` (N, N), the scores `gram` = C Bᵀ (N, N), and their entrywise product, the mixer's matrix."""
    M = L * gram
    picture = Picture(
        title,
        f"Three {len(M)} × {len(M)} matrices: the decay mask L, lower triangular, {(L > 0.5).sum()} entries above 0.5 "
        f"and {np.tril(L == 0).sum()} zeros on or below the diagonal; the scores C Bᵀ, from {gram.min():.2f} to "
        f"{gram.max():.2f}; their entrywise product M, from {M.min():.2f} to {M.max():.2f}, zero where L is.",
        size=(9.6, 3.1),
    )
    for ax, matrix, name in zip(
        picture.subplots(1, 3), (L, gram, M), ("decay mask L", "∘   scores C Bᵀ", "=   matrix M"), strict=True
    ):
        draw_matrix(ax, matrix, name)
    return picture


@styled
def sparse_and_dense(sparse: np.ndarray, dense: np.ndarray, *, title: str) -> Picture:
    """A lower-triangular matrix (N, N) and its inverse, on one color scale; zero entries are white."""
    filled = [int(np.count_nonzero(M)) for M in (sparse, dense)]
    picture = Picture(
        title,
        f"Left, a {len(sparse)} × {len(sparse)} matrix with {filled[0]} entries that are not zero, from "
        f"{sparse.min():.2f} to {sparse.max():.2f}, on the diagonal and just below it; right, its inverse, with "
        f"{filled[1]}, from {dense.min():.2f} to {dense.max():.2f}.",
        size=(8.5, 3.8),
    )
    panels = picture.subplots(1, 2)
    largest = max(np.abs(sparse).max(), np.abs(dense).max())
    for ax, M, count, name in zip(panels, (sparse, dense), filled, ("I − diag(a) Z", "its inverse L"), strict=True):
        image = ax.imshow(M, cmap=SIGNED, vmin=-largest, vmax=largest)
        ax.set(title=f"{name}: {count} numbers", xlabel="written at token j", ylabel="read at token i")
    picture.colorbar(image, ax=panels, shrink=0.8, label="entry")
    return picture


@styled
def rank_map(ranks: Mapping[str, np.ndarray], *, title: str) -> Picture:
    """For each named matrix the ranks (N, N) of its blocks: entry (i, j) for the rows from i on, columns up to j."""
    largest = max(int(np.tril(r).max()) for r in ranks.values())
    told = each(
        ranks,
        lambda r: f"at most {np.tril(r).max()} where it lies on or below the diagonal and up to {r.max()} elsewhere",
    )
    picture = Picture(
        title,
        f"Rank of the block with upper right corner (i, j), as an image for each matrix: {told}.",
        size=(9.0, 4.2),
    )
    panels = picture.in_rows(len(ranks))
    for ax, (name, r) in zip(panels, ranks.items(), strict=True):
        image = ax.imshow(r, cmap=MAGNITUDES, vmin=0, vmax=largest)
        corners = np.arange(len(r) + 1) - 0.5
        below = "below this line the block lies on or below the diagonal"
        ax.step(corners, corners, where="pre", color=OFF_DIAGONAL, label=below)
        ax.set(title=name, xlabel="last column j", ylabel="first row i")
        ax.set(xlim=(-0.5, len(r) - 0.5), ylim=(len(r) - 0.5, -0.5))
    picture.colorbar(image, ax=panels, label="rank of M[i:, :j+1]", shrink=0.8, extend="max")
    picture.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center")
    return picture


@styled
def family_portrait(kernels: Mapping[str, np.ndarray], *, what: str = "entry of M", title: str) -> Picture:
    """The matrices (N, N) of several mixers on the same tokens, all on one scale, on which 0 is white."""
    largest = max(np.abs(M).max() for M in kernels.values())
    columns = min(4, len(kernels))
    told = each(
        kernels, lambda M: f"{(np.abs(M) > 0.01).sum()} entries above 0.01, from {M.min():z.2f} to {M.max():z.2f}"
    )
    picture = Picture(
        title,
        f"Matrices of several mixers on the same tokens, rows read and columns written: {told}.",
        size=(9.6, 2.7 * -(-len(kernels) // columns)),
    )
    axes = picture.in_rows(len(kernels), columns)
    for ax, (name, M) in zip(axes, kernels.items(), strict=True):
        image = ax.imshow(np.where(np.tri(len(M)) > 0, M, np.nan), cmap=SIGNED, vmin=-largest, vmax=largest)
        ax.set(title=name, xlabel="written at j", ylabel="read at i")
    bar = picture.colorbar(image, ax=axes, shrink=0.6, label=what)
    if min(M.min() for M in kernels.values()) >= 0:
        bar.ax.set_ylim(0, largest)
    return picture
