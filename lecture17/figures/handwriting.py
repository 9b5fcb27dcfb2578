"""Small images in rows."""

from collections.abc import Mapping

import numpy as np

from ._picture import Picture
from ._style import styled


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
    panels = picture.subplots(len(rows), 1, squeeze=False)[:, 0]
    for ax, (name, (images, labels)) in zip(panels, rows.items(), strict=True):
        n, H, W = images.shape
        framed = np.pad(images, ((0, 0), (0, 0), (0, 1)), constant_values=0)
        ax.imshow(np.concatenate(list(framed), axis=1), cmap="Greys")
        ax.set_xticks((W + 1) * np.arange(n) + W / 2, [str(label) for label in labels])
        ax.set(title=name, xlabel="label", ylabel="row", yticks=(0, H - 1), xlim=(-1, (W + 1) * longest))
    return picture
