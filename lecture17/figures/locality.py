"""How near pixels stay when an image becomes a sequence, in both directions."""

from collections.abc import Mapping

import numpy as np

from ._picture import Picture
from ._style import DIAGONAL, NEUTRAL, OFF_DIAGONAL, OUTPUT, STATE, styled

_COLORS = (DIAGONAL, OFF_DIAGONAL, OUTPUT, STATE)


@styled
def locality(distances: Mapping[str, np.ndarray], radii: Mapping[str, np.ndarray], *, title: str) -> Picture:
    """How many steps apart pairs of neighbors are read, and how far away the last k pixels lie, for each name.

    distances   (pairs,): any number of pairs
    radii       (K,): how far away, in pixels, the farthest of the last 1, 2, … K pixels lies
    """
    picture = Picture(
        title,
        "Two panels. Pairs of neighbors against the steps between them: "
        + "; ".join(f"{name}, {(d == 1).mean():.0%} one step apart, {d.max()} at most" for name, d in distances.items())
        + ". Distance of the farthest of the last k pixels: "
        + "; ".join(f"{name}, {r[-1]:.0f} pixels for k = {len(r)}" for name, r in radii.items())
        + ".",
        size=(9.6, 3.7),
    )
    near, far = picture.subplots(1, 2)
    longest = max(d.max() for d in distances.values())
    for (name, d), color in zip(distances.items(), _COLORS, strict=False):
        at_most = np.arange(1, longest + 1)
        share = np.searchsorted(np.sort(d), at_most, side="right") / len(d)
        near.plot(at_most, share, color=color, label=name, drawstyle="steps-post")
    for (name, r), color in zip(radii.items(), _COLORS, strict=False):
        far.plot(np.arange(1, len(r) + 1), r, color=color, label=name)
    k = np.arange(1, len(r) + 1)
    far.plot(k, np.sqrt(k), ":", color=NEUTRAL, label="side of a square of k pixels")
    near.set(title="near in the image, …", xlabel="steps apart, at most", ylabel="share of pairs of neighbors")
    near.set(xscale="log", ylim=(-0.04, 1.06))
    far.set(
        title="near in the sequence, …", xlabel="the last k pixels that were read", ylabel="farthest of them, pixels"
    )
    far.set(xscale="log", yscale="log")
    for ax in (near, far):
        ax.legend()
    return picture
