"""A sequence mixer at play: a plateau and a spike go in, and what is left of them comes out."""

import numpy as np

from ._picture import Picture
from ._style import NEUTRAL, OUTPUT, STATE, styled
from .matrices import draw_matrix

SIGNALS = ("plateau", "spike")


@styled
def plateau_and_spike(M: np.ndarray, states: np.ndarray, x: np.ndarray, y: np.ndarray, *, title: str) -> Picture:
    """A mixer's matrix `M` (N, N), its states (N, rows, 2), the two signals `x` and what comes out `y`, (N, 2)."""
    last = np.abs(states[-1]).max(axis=0)
    picture = Picture(
        title,
        f"Left, the {len(M)} × {len(M)} matrix, entries from {M.min():.2f} to {M.max():.2f}, {abs(M[-1, 0]):.2f} in "
        f"size in the lower left corner. Middle, the {states.shape[1]} numbers of the state that belong to each of two "
        f"signals, at most {np.abs(states).max():.2f} in size; after the last token at most {last[0]:.2f} are left of "
        f"the {SIGNALS[0]} and {last[1]:.2f} of the {SIGNALS[1]}. Right, the signals that go in, and those that come "
        f"out, which reach {y[:, 0].max():.2f} and {y[:, 1].max():.2f}.",
        size=(9.6, 4.0),
    )
    axes = picture.subplot_mosaic([["M", "S0", "y0"], ["M", "S1", "y1"]], width_ratios=(1.45, 1, 1))
    draw_matrix(axes["M"], M, "the matrix M")
    for c, name in enumerate(SIGNALS):
        state, out = axes[f"S{c}"], axes[f"y{c}"]
        state.plot(states[:, :, c], color=STATE)
        state.set(title=f"state of the {name}", xlabel="after token t", ylabel="value")
        out.plot(x[:, c], color=NEUTRAL, drawstyle="steps-mid", linestyle="--", label="in")
        out.plot(y[:, c], color=OUTPUT, label="out")
        low, high = out.get_ylim()
        out.set_ylim(low, high + 0.35 * (high - low))  # room for the legend
        out.set(title=f"output of the {name}", xlabel="token t", ylabel="value")
        out.legend(loc="upper right", ncols=2)
    return picture
