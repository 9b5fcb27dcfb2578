"""Several mixers given the same tokens, side by side."""

from collections.abc import Mapping

import numpy as np

from ._picture import Picture
from ._style import SIGNED, styled

COLUMNS = 4


def _round(value: float) -> str:
    """Two digits, and no sign on a zero, which rounding errors give to either side."""
    return f"{round(value, 2) + 0.0:.2f}"


@styled
def family_portrait(kernels: Mapping[str, np.ndarray], *, title: str) -> Picture:
    """The matrices (N, N) of several mixers on the same tokens, all in one scale of signed values."""
    largest = max(np.abs(M).max() for M in kernels.values())
    picture = Picture(
        title,
        "Matrices of several mixers on the same tokens, rows read and columns written: "
        + "; ".join(
            f"{name}, {(np.abs(M) > 0.01).sum()} entries above 0.01, from {_round(M.min())} to {_round(M.max())}"
            for name, M in kernels.items()
        )
        + ".",
        size=(9.6, 2.7 * -(-len(kernels) // COLUMNS)),
    )
    axes = picture.subplots(-(-len(kernels) // COLUMNS), COLUMNS, squeeze=False)
    for ax, (name, M) in zip(axes.ravel(), kernels.items(), strict=True):
        shown = np.where(np.tri(len(M)) > 0, M, np.nan)
        image = ax.imshow(shown, cmap=SIGNED, vmin=-largest, vmax=largest)
        ax.set(title=name, xlabel="written at j", ylabel="read at i")
    picture.colorbar(image, ax=axes, shrink=0.6, label="entry of M")
    return picture
