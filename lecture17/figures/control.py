"""Accuracies with their seeds, and what is left of a difference when a control has had its part."""

from collections.abc import Mapping

import numpy as np

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
    left.axvline(level[1], color=NEUTRAL, linestyle="--", linewidth=1.2, label=level[0])
    right.axvline(0, color=NEUTRAL, linestyle="--", linewidth=1.2)
    for row, (name, a) in enumerate(accuracies.items()):
        left.plot([a.min(), a.max()], [row, row], color=STATE, alpha=0.4, linewidth=4)
        left.plot(a, np.full(len(a), row), "o", color=STATE, markeredgecolor="white")
        left.plot(a.mean(), row, "|", color="black", markersize=14)
        if name in intervals:
            low, high = (100 * end for end in intervals[name])
            right.plot([low, high], [row, row], color=OUTPUT)
            right.plot((low + high) / 2, row, "o", color=OUTPUT)
    left.set_yticks(range(len(accuracies)), list(accuracies))
    left.set(title="each seed, and the mean", xlabel="accuracy in the test", ylabel="")
    left.set_ylabel("what is trained")
    left.invert_yaxis()
    right.set(title="difference to the control", xlabel="points of accuracy, 95% interval over images")
    right.set_ylabel("the same")
    left.legend(loc="lower left", bbox_to_anchor=(0, 0))
    return picture
