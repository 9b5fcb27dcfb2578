"""What a state does when the same token comes again and again."""

from collections.abc import Mapping

import numpy as np

from ._picture import Picture
from ._style import NEUTRAL, STATE, styled


@styled
def orbits(states: Mapping[str, np.ndarray], *, title: str) -> Picture:
    """For each name the states after 0, 1, 2, … tokens: one number (T,) against time, or two (T, 2) in their plane."""
    picture = Picture(
        title,
        "States reached by one token repeated: "
        + "; ".join(
            f"{name}, {'one number, from' if h.ndim == 1 else 'two numbers, from'} {h[0].round(2) + 0.0} over "
            f"{h[1].round(2) + 0.0} to {h[-1].round(2) + 0.0} after {len(h) - 1} tokens"
            for name, h in states.items()
        )
        + ".",
        size=(9.6, 3.3),
    )
    panels = picture.subplots(1, len(states), squeeze=False)[0]
    for ax, (name, h) in zip(panels, states.items(), strict=True):
        if h.ndim == 1:
            ax.axhline(0, color=NEUTRAL, linewidth=0.8)
            ax.plot(h, "o-", color=STATE)
            ax.set(xlabel="tokens so far", ylabel="state", ylim=(-1.15, 1.15))
        else:
            around = np.linspace(0, 2 * np.pi, 200)
            ax.plot(np.cos(around), np.sin(around), color=NEUTRAL, linewidth=0.8)
            ax.plot(*h.T, "o-", color=STATE)
            for place in np.unique(h.round(6), axis=0):
                times = np.flatnonzero(np.isclose(h, place, atol=1e-5).all(1))
                ax.annotate(
                    ", ".join(map(str, times[:3])) + (", …" if len(times) > 3 else ""),
                    (1.15 if place[0] > 0.5 else 1.45) * place,
                    ha="left" if place[0] > 0.5 else "center",
                    va="center",
                )
            ax.set(xlabel="first number of the state", ylabel="second number", aspect="equal")
            ax.set(xlim=(-1.6, 2.2), ylim=(-1.6, 1.6))
        ax.set_title(name)
    return picture
