"""The order in which an image is read: a number for each pixel, and the path where it is one."""

from collections.abc import Mapping

import numpy as np
from matplotlib.patheffects import withStroke

from ._picture import Picture
from ._style import MAGNITUDES, OUTPUT, styled

_HALO = [withStroke(linewidth=3, foreground="white")]


@styled
def reading_orders(steps: Mapping[str, np.ndarray], *, title: str) -> Picture:
    """For each name the step (H, W) at which each pixel is read, counted from 0; several pixels may share a step."""
    words = []
    for name, step in steps.items():
        first = " and ".join(str(tuple(map(int, pixel))) for pixel in np.argwhere(step == 0))
        words.append(
            f"{name}, {step.max() + 1} steps from {first}, at most {np.bincount(step.ravel()).max()} at a time"
        )
    H, W = next(iter(steps.values())).shape
    picture = Picture(
        title,
        f"The step at which each of {H} × {W} pixels (row, column) is read: {'; '.join(words)}.",
        size=(9.6, 1.25 + (9.6 / len(steps) - 0.5) * H / W),
    )
    for ax, (name, step) in zip(picture.subplots(1, len(steps), squeeze=False)[0], steps.items(), strict=True):
        ax.imshow(step, cmap=MAGNITUDES, alpha=0.55)
        if len(np.unique(step)) == step.size:
            row, column = np.divmod(np.argsort(step, axis=None), W)
            ax.plot(column, row, color=OUTPUT)
        for (i, j), number in np.ndenumerate(step):
            ax.annotate(str(number), (j, i), ha="center", va="center", fontsize=9, path_effects=_HALO)
        ax.set(title=name, xlabel="column", ylabel="row", xticks=range(W), yticks=range(H))
    return picture
