"""Accuracies with their seeds, and what is left of a difference when a control has had its part."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from ._picture import Picture
from ._style import NEUTRAL, OUTPUT, STATE, styled


@styled
def against_control(
    accuracies: Mapping[str, np.ndarray],
    intervals: Mapping[str, tuple[float, float]],
    level: tuple[str, float],
    *,
    title: str,
) -> Picture:
    """For each name the accuracies of the seeds, and an interval for the mean difference to a control.

    intervals   (low, high) for those names that have one; the difference drawn is the interval's middle
    level       name and height of a reference line for the accuracies
    """
    picture = Picture(
        title,
        "Accuracy of each seed, and 95% interval of the difference to the control: "
        + "; ".join(
            f"{name}, {a.min():.3f} to {a.max():.3f}"
            + (f", difference {intervals[name][0]:+.3f} to {intervals[name][1]:+.3f}" if name in intervals else "")
            for name, a in accuracies.items()
        )
        + f"; {level[0]}, {level[1]:.3f}.",
        size=(9.6, 1.4 + 0.4 * len(accuracies)),
    )
    left, right = picture.subplots(1, 2, sharey=True, width_ratios=(1.3, 1))
    _seeds(left, accuracies, dict([level]))
    right.axvline(0, color=NEUTRAL, linestyle="--", linewidth=1.2)
    for row, name in enumerate(accuracies):
        if name in intervals:
            low, high = (100 * end for end in intervals[name])
            right.plot([low, high], [row, row], color=OUTPUT)
            right.plot((low + high) / 2, row, "o", color=OUTPUT)
    right.set(title="difference to the control", xlabel="points of accuracy, 95% interval over images")
    right.set_ylabel("the same")
    left.legend(loc="lower left", bbox_to_anchor=(0, 0))
    return picture


@styled
def above_levels(accuracies: Mapping[str, np.ndarray], levels: Mapping[str, float], *, title: str) -> Picture:
    """For each name the accuracies of the seeds, and levels that are reached without learning the task."""
    picture = Picture(
        title,
        "Accuracy of each seed: "
        + "; ".join(f"{name}, {a.min():.2f} to {a.max():.2f}" for name, a in accuracies.items())
        + "; reference lines: "
        + ", ".join(f"{name}, {value:.2f}" for name, value in levels.items())
        + ".",
        size=(7.5, 1.8 + 0.4 * len(accuracies)),
    )
    ax = picture.subplots()
    _seeds(ax, accuracies, levels)
    ax.set(xlim=(0, None), ylim=(len(accuracies) - 0.5, -0.5))
    picture.legend(loc="outside lower center", ncols=len(levels))
    return picture


def _seeds(ax: Axes, accuracies: Mapping[str, np.ndarray], levels: Mapping[str, float]) -> None:
    """A row for each name: a dot for each seed, their range and their mean; upright lines at the levels."""
    for (name, value), style in zip(levels.items(), ("--", ":"), strict=False):
        ax.axvline(value, color=NEUTRAL, linestyle=style, linewidth=1.2, label=name)
    for row, a in enumerate(accuracies.values()):
        ax.plot([a.min(), a.max()], [row, row], color=STATE, alpha=0.4, linewidth=4)
        ax.plot(a, np.full(len(a), row), "o", color=STATE, markeredgecolor="white")
        ax.plot(a.mean(), row, "|", color="black", markersize=14)
    ax.set_yticks(range(len(accuracies)), list(accuracies))
    ax.set(title="each seed, and the mean", xlabel="accuracy in the test", ylabel="what is trained")
    ax.invert_yaxis()
