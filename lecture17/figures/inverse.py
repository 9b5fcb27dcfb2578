"""Two sides of one map: the sparse matrix that a recurrence solves with, and its dense inverse."""

import numpy as np

from ._picture import Picture
from ._style import SIGNED, styled


@styled
def sparse_and_dense(sparse: np.ndarray, dense: np.ndarray, *, title: str) -> Picture:
    """A lower-triangular matrix (N, N) and its inverse, in one scale, with the entries that are zero left white."""
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
