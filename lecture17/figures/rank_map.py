"""Where a matrix has low rank: the rank of every block that touches its lower left corner."""

from collections.abc import Mapping

import numpy as np

from ._picture import Picture
from ._style import MAGNITUDES, OFF_DIAGONAL, styled


@styled
def rank_map(ranks: Mapping[str, np.ndarray], *, title: str) -> Picture:
    """For each named matrix the ranks (N, N) of its blocks: entry (i, j) for the rows from i on, columns up to j."""
    largest = max(int(np.tril(r).max()) for r in ranks.values())
    picture = Picture(
        title,
        "Rank of the block with upper right corner (i, j), as an image for each matrix: "
        + "; ".join(
            f"{name}, at most {np.tril(r).max()} where it lies on or below the diagonal and up to {r.max()} elsewhere"
            for name, r in ranks.items()
        )
        + ".",
        size=(9.0, 4.2),
    )
    panels = picture.subplots(1, len(ranks), squeeze=False)[0]
    for ax, (name, r) in zip(panels, ranks.items(), strict=True):
        image = ax.imshow(r, cmap=MAGNITUDES, vmin=0, vmax=largest)
        corners = np.arange(len(r) + 1) - 0.5
        ax.step(
            corners,
            corners,
            where="pre",
            color=OFF_DIAGONAL,
            label="below this line the block lies on or below the diagonal",
        )
        ax.set(title=name, xlabel="last column j", ylabel="first row i")
        ax.set(xlim=(-0.5, len(r) - 0.5), ylim=(len(r) - 0.5, -0.5))
    picture.colorbar(image, ax=panels, label="rank of M[i:, :j+1]", shrink=0.8, extend="max")
    handles, labels = panels[0].get_legend_handles_labels()
    picture.legend(handles, labels, loc="outside lower center")
    return picture
