"""Two mirrors make a turn: a triangle before, between and after two reflections."""

from collections.abc import Sequence

import numpy as np

from ._picture import Picture
from ._style import DIAGONAL, NEUTRAL, OFF_DIAGONAL, OUTPUT, STATE, styled

_CORNERS = (DIAGONAL, OFF_DIAGONAL, OUTPUT)


@styled
def mirrors(corners: np.ndarray, normals: Sequence[np.ndarray], *, title: str) -> Picture:
    """The corners (3, 2) of a triangle, then after each reflection I - 2 k kᵀ with the given normals k (2,)."""
    stages = [corners]
    for k in normals:
        stages.append(stages[-1] - 2 * np.outer(stages[-1] @ k, k))
    angles = [np.degrees(np.arctan2(k[0], -k[1])) % 180 for k in normals]  # of the mirrors, not of their normals
    moved = [int(np.argmin(np.linalg.norm(corners - place, axis=1))) for place in stages[-1]]
    picture = Picture(
        title,
        f"A triangle with corners 0, 1 and 2, reflected in a line at {angles[0]:.0f} degrees and then in one at "
        f"{angles[1]:.0f} degrees; after both, corners 0, 1 and 2 lie where {moved[0]}, {moved[1]} and {moved[2]} lay "
        "before: the triangle has been turned.",
        size=(9.6, 3.5),
    )
    names = ["before", "after the first mirror", "after the second: a turn"]
    for ax, stage, name, mirror in zip(picture.subplots(1, 3), stages, names, [*normals, None], strict=True):
        ax.fill(*corners.T, facecolor="none", edgecolor=NEUTRAL, linewidth=1.2)
        for number, (place, color) in enumerate(zip(stage, _CORNERS, strict=True)):
            ax.plot(*place, "o", color=color, markersize=17, zorder=3)
            ink = "black" if number else "white"
            ax.annotate(str(number), place, ha="center", va="center", color=ink, fontsize=11, zorder=4)
        if mirror is not None:
            along = 1.5 * np.array([-mirror[1], mirror[0]])
            ax.plot(*np.array([-along, along]).T, "--", color=STATE)
            ax.annotate("", 0.55 * mirror, -0.55 * mirror, arrowprops={"arrowstyle": "<->", "color": STATE})
        ax.set(title=name, xlabel="first number of the state", ylabel="second number", aspect="equal")
        ax.set(xlim=(-1.6, 1.6), ylim=(-1.5, 1.5))
    return picture
