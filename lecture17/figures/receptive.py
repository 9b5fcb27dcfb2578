"""What one pixel sees of an image."""

from collections.abc import Mapping

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import LogNorm

from ._picture import Picture
from ._style import MAGNITUDES, OUTPUT, styled

COLUMNS = 3


@styled
def receptive_fields(
    weights: Mapping[str, np.ndarray], pixel: tuple[int, int], *, faintest: float = 1e-3, title: str
) -> Picture:
    """For each name the weight (H, W) with which `pixel` sees every pixel; white where it is zero: never seen.

    `faintest` is where the scale of colors ends, as a part of what the pixel sees of itself.
    """
    picture = Picture(
        title,
        f"What the pixel in row {pixel[0]}, column {pixel[1]} sees, an image for each way to read: "
        + "; ".join(f"{name}, {(w > 0).mean():.0%} of all pixels" for name, w in weights.items())
        + ".",
        size=(9.6, 0.7 + 2.9 * -(-len(weights) // COLUMNS)),
    )
    panels = picture.subplots(-(-len(weights) // COLUMNS), COLUMNS, squeeze=False).ravel()
    for ax in panels[len(weights) :]:
        ax.remove()
    colors = colormaps[MAGNITUDES].with_extremes(bad="white", under=colormaps[MAGNITUDES](0))
    for ax, (name, w) in zip(panels, weights.items(), strict=False):
        seen = np.ma.masked_equal(w / w[pixel], 0)
        image = ax.imshow(seen, cmap=colors, norm=LogNorm(faintest, 1))
        ax.plot(*pixel[::-1], "o", color=OUTPUT, markeredgecolor="black")
        ax.set(title=name, xlabel="column", ylabel="row", xticks=(0, w.shape[1] - 1), yticks=(0, w.shape[0] - 1))
    shown = list(panels[: len(weights)])
    picture.colorbar(image, ax=shown, label="weight, itself = 1", extend="min", shrink=0.8)
    return picture
