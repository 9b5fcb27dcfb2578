"""What one token can do to the state: the eigenvalues of its transition matrix in the unit disk."""

from collections.abc import Mapping

import numpy as np

from ._picture import Picture
from ._style import NEUTRAL, STATE, styled

COLUMNS = 3


@styled
def eigenvalues(transitions: Mapping[str, np.ndarray], *, title: str) -> Picture:
    """The eigenvalues of transition matrices (tokens, r, r), a panel with the unit circle for each name."""
    values = {name: np.linalg.eigvals(A).ravel() for name, A in transitions.items()}
    picture = Picture(
        title,
        "Eigenvalues of transition matrices in the complex plane, with the unit circle: "
        + "; ".join(
            f"{name}, real parts from {v.real.min():.2f} to {v.real.max():.2f}, imaginary parts up to "
            f"{np.abs(v.imag).max():.2f}"
            for name, v in values.items()
        )
        + ".",
        size=(9.0, 3.2 * -(-len(values) // COLUMNS)),
    )
    axes = picture.subplots(-(-len(values) // COLUMNS), COLUMNS, squeeze=False).ravel()
    turn = np.exp(2j * np.pi * np.linspace(0, 1, 200))
    for ax, (name, v) in zip(axes, values.items(), strict=False):
        ax.plot(turn.real, turn.imag, color=NEUTRAL, linewidth=1)
        ax.plot(v.real, v.imag, ".", color=STATE, alpha=0.5, markersize=4, markeredgewidth=0)
        ax.plot(0, 0, "+", color="black")
        ax.set(
            title=name, xlabel="real part", ylabel="imaginary part", aspect="equal", xlim=(-1.1, 1.1), ylim=(-1.1, 1.1)
        )
        ax.set_xticks([-1, 0, 1])
        ax.set_yticks([-1, 0, 1])
    for ax in axes[len(values) :]:
        ax.remove()
    return picture
