"""What trained networks get right: by place in the sequence, and by size of the state."""

from collections.abc import Mapping, Sequence

import numpy as np

from ._picture import Picture
from ._style import ATTENTION, NEUTRAL, STATE, styled

_WINDOW = 8  # places that are averaged, so that single ones do not make a line of noise


@styled
def accuracy_by_place(
    accuracies: Mapping[str, np.ndarray],
    trained: int,
    levels: Mapping[str, float],
    *,
    softmax: Sequence[str] = (),
    title: str,
) -> Picture:
    """For each name accuracies (seeds, places): their mean, and the range of the seeds as a band.

    `trained` is the longest sequence in training, `levels` are reference lines, `softmax` names what is attention.
    """
    smooth = {name: _smoothed(a) for name, a in accuracies.items()}
    picture = Picture(
        title,
        f"Accuracy against place for networks trained on lengths up to {trained}, mean of the seeds: "
        + "; ".join(
            f"{name}, {a[:, : trained - _WINDOW + 1].mean():.2f} up to place {trained} and "
            f"{a[:, -_WINDOW:].mean():.2f} at the end"
            for name, a in smooth.items()
        )
        + ".",
        size=(9.6, 2.5 + 1.9 * ((len(accuracies) - 1) // 3)),
    )
    columns = min(3, len(accuracies))
    rows = -(-len(accuracies) // columns)
    panels = picture.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for ax in panels.flat[len(accuracies) :]:
        ax.remove()
    for ax, (name, a) in zip(panels.flat, smooth.items(), strict=False):
        color = ATTENTION if name in softmax else STATE
        places = np.arange(a.shape[1]) + _WINDOW
        ax.fill_between(places, a.min(0), a.max(0), color=color, alpha=0.25, linewidth=0)
        ax.plot(places, a.mean(0), color=color)
        for style, (level, value) in zip(":-.", levels.items(), strict=False):
            ax.axhline(value, color=NEUTRAL, linestyle=style, linewidth=1.2, label=level)
        ax.axvline(trained, color=NEUTRAL, linestyle="--", linewidth=1.2, label="longest in training")
        ax.set(title=name, xlabel="place in the sequence", ylabel="accuracy", ylim=(-0.04, 1.04))
    handles, labels = panels.flat[0].get_legend_handles_labels()
    picture.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return picture


def _smoothed(a: np.ndarray) -> np.ndarray:
    """Means over each run of `_WINDOW` places, (seeds, places - _WINDOW + 1)."""
    return np.lib.stride_tricks.sliding_window_view(a, _WINDOW, axis=1).mean(-1)


@styled
def copying_accuracy(
    sizes: Sequence[int],
    recurrent: Mapping[str, np.ndarray],
    softmax: Mapping[str, float],
    *,
    what: str = "letters copied right",
    title: str,
) -> Picture:
    """Accuracies (seeds, sizes) against numbers of state for each name, and levels that softmax attention reaches."""
    picture = Picture(
        title,
        f"Share of {what} against the numbers in the state, from {sizes[0]} to {sizes[-1]}, mean of the "
        "seeds: "
        + "; ".join(f"{name}, {', '.join(f'{x:.2f}' for x in a.mean(0))}" for name, a in recurrent.items())
        + "; softmax attention "
        + ", ".join(f"{value:.2f} ({name})" for name, value in softmax.items())
        + ".",
        size=(9.0, 3.6),
    )
    ax = picture.subplots()
    for (name, a), marker in zip(recurrent.items(), "os^", strict=False):
        ax.fill_between(sizes, a.min(0), a.max(0), color=STATE, alpha=0.25, linewidth=0)
        ax.plot(sizes, a.mean(0), marker + "-", color=STATE, label=f"state, {name}")
    for (name, value), style in zip(softmax.items(), ("--", ":"), strict=False):
        ax.axhline(value, color=ATTENTION, linestyle=style, label=f"softmax attention, {name}")
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes, [str(n) for n in sizes])
    ax.set(xlabel="numbers in the state", ylabel=what, ylim=(-0.04, 1.06))
    picture.legend(loc="outside right center")
    return picture
