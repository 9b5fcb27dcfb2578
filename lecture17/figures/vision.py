"""Images and the orders in which they are read: routes, what stays near, what one pixel sees, digits."""

from collections.abc import Mapping

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import LogNorm
from matplotlib.patheffects import withStroke

from .picture import DIAGONAL, MAGNITUDES, NEUTRAL, OFF_DIAGONAL, OUTPUT, STATE, Picture, each, styled


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
    halo = [withStroke(linewidth=3, foreground="white")]
    for ax, (name, step) in zip(picture.in_rows(len(steps)), steps.items(), strict=True):
        ax.imshow(step, cmap=MAGNITUDES, alpha=0.55)
        if len(np.unique(step)) == step.size:
            row, column = np.divmod(np.argsort(step, axis=None), W)
            ax.plot(column, row, color=OUTPUT)
        for (i, j), number in np.ndenumerate(step):
            ax.annotate(str(number), (j, i), ha="center", va="center", fontsize=9, path_effects=halo)
        ax.set(title=name, xlabel="column", ylabel="row", xticks=range(W), yticks=range(H))
    return picture


@styled
def locality(distances: Mapping[str, np.ndarray], radii: Mapping[str, np.ndarray], *, title: str) -> Picture:
    """How many steps apart pairs of neighbors are read, and how far away the last k pixels lie, for each name.

    distances   (pairs,): any number of pairs
    radii       (K,): how far away, in pixels, the farthest of the last 1, 2, … K pixels lies
    """
    picture = Picture(
        title,
        "Two panels. Pairs of neighbors against the steps between them: "
        f"{each(distances, lambda d: f'{(d == 1).mean():.0%} one step apart, {d.max()} at most')}. Distance of the "
        f"farthest of the last k pixels: {each(radii, lambda r: f'{r[-1]:.0f} pixels for k = {len(r)}')}.",
        size=(9.6, 3.7),
    )
    near, far = picture.subplots(1, 2)
    longest = max(d.max() for d in distances.values())
    colors = (DIAGONAL, OFF_DIAGONAL, OUTPUT, STATE)
    at_most = np.arange(1, longest + 1)
    for (name, d), color in zip(distances.items(), colors, strict=False):
        share = np.searchsorted(np.sort(d), at_most, side="right") / len(d)
        near.plot(at_most, share, color=color, label=name, drawstyle="steps-post")
    for (name, r), color in zip(radii.items(), colors, strict=False):
        far.plot(np.arange(1, len(r) + 1), r, color=color, label=name)
    k = np.arange(1, len(r) + 1)
    far.plot(k, np.sqrt(k), ":", color=NEUTRAL, label="side of a square of k pixels")
    near.set(title="near in the image, …", xlabel="steps apart, at most", ylabel="share of pairs of neighbors")
    near.set(xscale="log", ylim=(-0.04, 1.06))
    far.set(title="near in the sequence, …", xlabel="the last k pixels that were read", xscale="log", yscale="log")
    far.set(ylabel="farthest of them, pixels")
    for ax in (near, far):
        ax.legend()
    return picture


@styled
def receptive_fields(
    weights: Mapping[str, np.ndarray], pixel: tuple[int, int], *, faintest: float = 1e-3, title: str
) -> Picture:
    """For each name the weight (H, W) with which `pixel` sees every pixel; white where it is zero: never seen.

    `faintest` is where the color scale ends, as a fraction of the weight with which the pixel sees itself.
    """
    columns = 3
    picture = Picture(
        title,
        f"What the pixel in row {pixel[0]}, column {pixel[1]} sees, an image for each way to read: "
        f"{each(weights, lambda w: f'{(w > 0).mean():.0%} of all pixels')}.",
        size=(9.6, 0.7 + 2.9 * -(-len(weights) // columns)),
    )
    panels = picture.in_rows(len(weights), columns)
    colors = colormaps[MAGNITUDES].with_extremes(bad="white", under=colormaps[MAGNITUDES](0))
    for ax, (name, w) in zip(panels, weights.items(), strict=True):
        image = ax.imshow(np.ma.masked_equal(w / w[pixel], 0), cmap=colors, norm=LogNorm(faintest, 1))
        ax.plot(*pixel[::-1], "o", color=OUTPUT, markeredgecolor="black")
        ax.set(title=name, xlabel="column", ylabel="row", xticks=(0, w.shape[1] - 1), yticks=(0, w.shape[0] - 1))
    picture.colorbar(image, ax=panels, label="weight, itself = 1", extend="min", shrink=0.8)
    return picture


@styled
def image_rows(rows: Mapping[str, tuple[np.ndarray, np.ndarray]], *, title: str) -> Picture:
    """For each name a row of images (n, H, W) with their labels (n,), dark where the values are high."""
    longest = max(len(labels) for _, labels in rows.values())
    picture = Picture(
        title,
        "Rows of images, dark on light: "
        + "; ".join(
            f"{name}, showing {', '.join(map(str, labels))}, {100 * (images > images.max() / 2).mean():.0f}% dark"
            for name, (images, labels) in rows.items()
        )
        + ".",
        size=(9.6, 0.7 + 1.25 * len(rows)),
    )
    panels = picture.in_rows(len(rows), columns=1)
    for ax, (name, (images, labels)) in zip(panels, rows.items(), strict=True):
        n, H, W = images.shape
        framed = np.pad(images, ((0, 0), (0, 0), (0, 1)), constant_values=0)
        ax.imshow(np.concatenate(list(framed), axis=1), cmap="Greys")
        ax.set_xticks((W + 1) * np.arange(n) + W / 2, [str(label) for label in labels])
        ax.set(title=name, xlabel="label", ylabel="row", yticks=(0, H - 1), xlim=(-1, (W + 1) * longest))
    return picture
