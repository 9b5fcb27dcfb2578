"""Softmax attention by finitely many random features, and what that costs in accuracy."""

from collections.abc import Mapping

import numpy as np

from ._picture import Picture
from ._style import NEUTRAL, STATE, styled


@styled
def random_feature_error(n_features: np.ndarray, errors: Mapping[str, np.ndarray], *, title: str) -> Picture:
    """Relative errors against the number of features, a line and its fitted slope for each of two names."""
    slopes = {name: np.polyfit(np.log(n_features), np.log(error), 1)[0] for name, error in errors.items()}
    picture = Picture(
        title,
        f"Relative error against the number of random features from {n_features[0]} to {n_features[-1]}, both axes "
        "logarithmic: "
        + "; ".join(f"{name}, from {e[0]:.2f} to {e[-1]:.2f}, slope {slopes[name]:.2f}" for name, e in errors.items())
        + ".",
        size=(7.5, 3.8),
    )
    ax = picture.subplots()
    for (name, error), marker in zip(errors.items(), "os", strict=True):
        ax.plot(n_features, error, marker + "-", color=STATE, label=f"{name}: slope {slopes[name]:.2f}")
        ax.plot(n_features, error[0] * np.sqrt(n_features[0] / n_features), ":", color=NEUTRAL)
    ax.plot([], ":", color=NEUTRAL, label="slope −1/2")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set(xlabel="random features", ylabel="relative error of the weights")
    ax.set_xticks(n_features, [str(n) for n in n_features])
    ax.legend()
    return picture
