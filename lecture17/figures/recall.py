"""An associative memory put to the test: what is recalled of the values written last."""

from collections.abc import Mapping, Sequence

import numpy as np

from ._picture import Picture
from ._style import NEUTRAL, OFF_DIAGONAL, STATE, styled


@styled
def recall_error(n_keys: Sequence[int], d_k: int, errors: Mapping[str, np.ndarray], *, title: str) -> Picture:
    """Relative errors of recall against the number of keys in use, a line for each of three names."""
    picture = Picture(
        title,
        f"Relative error of the recalled values against the number of keys in use, from {n_keys[0]} to {n_keys[-1]}, "
        f"with keys of {d_k} numbers: "
        + "; ".join(f"{name} goes from {error[0]:.2f} to {error[-1]:.2f}" for name, error in errors.items())
        + ". An error of 1 is as bad as recalling nothing.",
        size=(7.5, 3.8),
    )
    ax = picture.subplots()
    for (name, error), color, marker in zip(errors.items(), (NEUTRAL, OFF_DIAGONAL, STATE), "^so", strict=True):
        ax.plot(n_keys, error, marker + "-", color=color, label=name)
    ax.axhline(1, linestyle=":", color="black", linewidth=1)
    ax.axvline(d_k, linestyle=":", color="black", linewidth=1)
    ax.text(d_k, ax.get_ylim()[1], " numbers in a key", va="top")
    ax.set(xlabel="keys in use (each written twice)", ylabel="error / size of the values", ylim=(0, None))
    ax.legend(loc="upper left")
    return picture
