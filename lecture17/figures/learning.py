"""What trained networks have learned: by place, by size of the state, by steps and seconds, and beside a control."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from .costs import LOOKS
from .picture import ATTENTION, DIAGONAL, NEUTRAL, OUTPUT, STATE, Picture, each, log2_axis, name_ends, styled

Run = tuple[np.ndarray, np.ndarray, np.ndarray]

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

    `trained` is the longest sequence in training, `levels` are reference lines, `softmax` lists the names of attention.
    """
    smooth = {name: _smoothed(a) for name, a in accuracies.items()}
    inside = slice(trained - _WINDOW + 1)
    told = each(
        smooth,
        lambda a: f"{a[:, inside].mean():.2f} up to place {trained} and {a[:, -_WINDOW:].mean():.2f} at the end",
    )
    picture = Picture(
        title,
        f"Accuracy against place for networks trained on lengths up to {trained}, mean of the seeds: {told}.",
        size=(9.6, 2.5 + 1.9 * ((len(accuracies) - 1) // 3)),
    )
    panels = picture.in_rows(len(accuracies), min(3, len(accuracies)), sharex=True, sharey=True)
    for ax, (name, a) in zip(panels, smooth.items(), strict=True):
        color = ATTENTION if name in softmax else STATE
        places = np.arange(a.shape[1]) + _WINDOW
        ax.fill_between(places, a.min(0), a.max(0), color=color, alpha=0.25, linewidth=0)
        ax.plot(places, a.mean(0), color=color)
        for style, (level, value) in zip(":-.", levels.items(), strict=False):
            ax.axhline(value, color=NEUTRAL, linestyle=style, linewidth=1.2, label=level)
        ax.axvline(trained, color=NEUTRAL, linestyle="--", linewidth=1.2, label="longest in training")
        ax.set(title=name, xlabel="place in the sequence", ylabel="accuracy", ylim=(-0.04, 1.04))
    picture.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(levels) + 1)
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
    title: str,
) -> Picture:
    """Accuracies (seeds, sizes) against numbers of state for each of two names: a dot for each seed, and the median.

    `softmax` has levels that softmax attention reaches. Seeds may fall into two groups, with nothing near their mean.
    """
    picture = Picture(
        title,
        f"Share of letters copied correctly against the numbers in the state, from {sizes[0]} to {sizes[-1]}, lowest, "
        "median and highest of the seeds: "
        + "; ".join(
            f"{name}, " + ", ".join(f"{x.min():.2f} / {np.median(x):.2f} / {x.max():.2f}" for x in a.T)
            for name, a in recurrent.items()
        )
        + "; softmax attention "
        + ", ".join(f"{value:.2f} ({name})" for name, value in softmax.items())
        + ".",
        size=(9.0, 3.6),
    )
    ax = picture.subplots()
    looks = zip(recurrent.items(), (STATE, DIAGONAL), "os", (0.97, 1.03), strict=True)
    for (name, a), color, marker, beside in looks:  # side by side, so that no seed hides another
        places = beside * np.array(sizes)
        ax.plot(places, np.median(a, axis=0), color=color, alpha=0.5)
        ax.plot(places, a.T, marker, color=color, fillstyle="none")
        ax.plot([], [], marker + "-", color=color, fillstyle="none", label=f"state, {name}: seeds, median")
    for (name, value), style in zip(softmax.items(), ("--", ":"), strict=False):
        ax.axhline(value, color=ATTENTION, linestyle=style, label=f"softmax attention, {name}")
    log2_axis(ax, sizes)
    ax.set(xlabel="numbers in the state", ylabel="letters copied correctly", ylim=(-0.04, 1.06))
    picture.legend(loc="outside right center")
    return picture


@styled
def accuracy_against(
    sizes: Sequence[int],
    accuracies: Mapping[str, np.ndarray],
    levels: Mapping[str, float],
    *,
    x: str,
    trained: int | None = None,
    title: str,
) -> Picture:
    """Accuracies (seeds, sizes) of each name: a dot for each seed, a line through the medians with the name at its end.

    x         what the sizes are
    levels    reference lines
    trained   the largest size in training, if larger ones are tested; names of attention begin with "softmax"
    """
    lines = ", ".join(f"{name}, {value:.2f}" for name, value in levels.items())
    picture = Picture(
        title,
        f"Share of questions answered correctly against {x}, {', '.join(map(str, sizes))}, lowest / median / highest "
        "of the seeds: "
        + each(accuracies, lambda a: ", ".join(f"{s.min():.2f} / {np.median(s):.2f} / {s.max():.2f}" for s in a.T))
        + (f"; trained on up to {trained}" if trained else "")
        + f"; reference lines: {lines}.",
        size=(8.6, 4.2),
    )
    ax = picture.subplots()
    softmax = [name for name in accuracies if name.startswith("softmax")]
    others = [name for name in accuracies if name not in softmax]
    looks: dict[str, dict[str, Any]] = dict(zip(others, LOOKS, strict=False))
    looks |= {
        name: {"color": ATTENTION, "marker": m, "linestyle": s} for name, m, s in zip(softmax, "sD", "-:", strict=False)
    }
    for i, (name, a) in enumerate(accuracies.items()):
        beside = np.array(sizes) * 1.05 ** (i - (len(accuracies) - 1) / 2)  # so that no seed hides another
        ax.plot(beside, np.median(a, axis=0), color=looks[name]["color"], linestyle=looks[name]["linestyle"], alpha=0.6)
        ax.plot(beside, a.T, looks[name]["marker"], color=looks[name]["color"], fillstyle="none")
    for (name, value), style in zip(levels.items(), (":", "-."), strict=False):
        looks[name] = {"color": NEUTRAL, "linestyle": style, "linewidth": 1.2}
        ax.axhline(value, **looks[name])
    log2_axis(ax, sizes)
    ax.set(xlabel=x, ylabel="questions answered correctly", ylim=(-0.04, 1.1))
    if trained:
        ax.axvline(trained, color=NEUTRAL, linestyle="--", linewidth=1.2)
        ax.annotate(" longest in training", (trained, 1.06), va="center", fontsize=9)
    name_ends(ax, {name: float(np.median(a[:, -1])) for name, a in accuracies.items()} | dict(levels), looks)
    return picture


@styled
def learning_curves(runs: Mapping[str, Run], families: Mapping[str, str], baseline: str, *, title: str) -> Picture:
    """For each name steps (tests,), seconds and bits per byte (seeds, tests): differences from the mean of `baseline`.

    On the left by steps, and on the right by seconds, until the quickest ends; means of the seeds.

    families    for each name which color it shares: that of "softmax", "state" or "hybrid"
    """
    lines = {name: (steps, seconds.mean(0), bits.mean(0)) for name, (steps, seconds, bits) in runs.items()}
    base = lines[baseline]
    picture = Picture(
        title,
        "Bits per byte, mean of the seeds: "
        + each(
            lines,
            lambda line: (
                f"{line[2][0]:.2f} after {line[0][0]} steps to {line[2][-1]:.2f} after {line[0][-1]} steps and "
                f"{line[1][-1]:.0f} seconds"
            ),
        )
        + f". Drawn are the differences from {baseline}, which at the last step are "
        + ", ".join(f"{bits[-1] - base[2][-1]:+.2f} ({name})" for name, (_, _, bits) in lines.items())
        + ".",
        size=(10.0, 4.4),
    )
    looks = _in_families(families) | {baseline: {"color": NEUTRAL, "linestyle": "--"}}
    axes = picture.subplots(1, 2, sharey=True)
    ends_of: list[dict[str, float]] = [{}, {}]
    for ax, x, unit in zip(axes, (0, 1), ("steps", "seconds of one core"), strict=True):
        first, last = base[x][0], min(line[x][-1] for line in lines.values())
        for name, line in lines.items():
            moments = np.append(line[x][(line[x] >= first) & (line[x] < last)], last)
            apart = np.interp(moments, line[x], line[2]) - np.interp(moments, base[x], base[2])
            ax.plot(moments, apart, **looks[name])
            ends_of[x][name] = apart[-1]
        ax.set(title=f"after equal {unit.split()[0]}", xlabel=unit)
    axes[0].set_ylabel(f"bits per byte more than {baseline}")
    for ax, heights in zip(axes, ends_of, strict=True):
        name_ends(ax, heights, looks)
    return picture


def _in_families(families: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """A color for each family, and a marker for each of its members."""
    colors = {"softmax": ATTENTION, "state": STATE, "hybrid": DIAGONAL}
    members = {family: [name for name in families if families[name] == family] for family in colors}
    return {
        name: {"color": colors[family], "marker": "so^D"[members[family].index(name)]}
        for name, family in families.items()
    }


@styled
def differences(
    panels: Mapping[str, Mapping[str, tuple[float, float, float]]],
    families: Mapping[str, str],
    baseline: str,
    unit: str,
    *,
    title: str,
) -> Picture:
    """In each named panel, for each name the difference from a baseline: its mean and both ends of its 95% interval.

    families: as in `learning_curves`, the baseline included.
    """
    picture = Picture(
        title,
        f"Difference from {baseline} in {unit}, mean and 95% interval: "
        + ". ".join(
            f"{panel}: " + each(rows, lambda d: f"{d[0]:+.2f} ({d[1]:+.2f} to {d[2]:+.2f})")
            for panel, rows in panels.items()
        )
        + ".",
        size=(10.0, 1.7 + 0.32 * max(map(len, panels.values()))),
    )
    axes = picture.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    looks = _in_families(families)
    for ax, (panel, rows) in zip(axes, panels.items(), strict=True):
        ax.axvline(0, color=NEUTRAL, linestyle="--", linewidth=1.2)
        for row, (name, (mean, low, high)) in enumerate(rows.items()):
            ax.plot([low, high], [row, row], color=looks[name]["color"])
            ax.plot(mean, row, **looks[name])
        ax.set_yticks(range(len(rows)), list(rows))
        ax.set(title=panel, xlabel=f"difference from {baseline}, {unit}", ylabel="mixer")
        ax.label_outer()
    axes[0].invert_yaxis()
    return picture


@styled
def against_control(
    accuracies: Mapping[str, np.ndarray],
    intervals: Mapping[str, tuple[float, float]],
    level: tuple[str, float],
    *,
    controls: Mapping[str, str] = MappingProxyType({}),
    title: str,
) -> Picture:
    """For each name the accuracies of the seeds, and an interval for the mean difference from a control.

    intervals   (low, high) for all names but the controls; the difference drawn is the interval's middle
    level       name and height of a reference line for the accuracies
    controls    for the names that are compared with a second control, the name of that control
    """
    picture = Picture(
        title,
        "Accuracy of each seed, and 95% interval of the difference from the control: "
        + "; ".join(
            f"{name}, {a.min():.3f} to {a.max():.3f}"
            + (f", difference {intervals[name][0]:+.3f} to {intervals[name][1]:+.3f}" if name in intervals else "")
            + (f" (from {controls[name]})" if name in controls else "")
            for name, a in accuracies.items()
        )
        + f"; {level[0]}, {level[1]:.3f}.",
        size=(9.6, 1.7 + 0.4 * len(accuracies)),
    )
    left, right = picture.subplots(1, 2, sharey=True, width_ratios=(1.3, 1))
    _seeds(left, accuracies, dict([level]))
    right.axvline(0, color=NEUTRAL, linestyle="--", linewidth=1.2)
    for row, name in enumerate(accuracies):
        if name in intervals:
            low, high = (100 * end for end in intervals[name])
            right.plot([low, high], [row, row], color=OUTPUT)
            right.plot((low + high) / 2, row, "o", color=OUTPUT)
            said = f"from {controls[name]}" if name in controls else ""
        else:  # a control, whose difference from itself is 0
            right.plot(0, row, "D", color=NEUTRAL, markerfacecolor="white", markersize=7)
            said = "a second control" if name in controls.values() else "the control"
            high = 0
        right.annotate(f" {said}", (max(high, 0), row), (6, 0), textcoords="offset points", va="center")
    right.margins(x=0.25)
    right.set(title="difference from the control", xlabel="points of accuracy, 95% interval")
    picture.legend(*left.get_legend_handles_labels(), loc="outside lower left")
    return picture


@styled
def above_levels(accuracies: Mapping[str, np.ndarray], levels: Mapping[str, float], *, title: str) -> Picture:
    """For each name the accuracies of the seeds, and levels that are reached without learning the task."""
    reached = each(accuracies, lambda a: f"{a.min():.2f} to {a.max():.2f}")
    lines = ", ".join(f"{name}, {value:.2f}" for name, value in levels.items())
    told = f"Accuracy of each seed: {reached}; reference lines: {lines}."
    picture = Picture(title, told, size=(7.5, 1.8 + 0.4 * len(accuracies)))
    ax = picture.subplots()
    _seeds(ax, accuracies, levels)
    ax.set(xlim=(0, None), ylim=(len(accuracies) - 0.5, -0.5))
    picture.legend(loc="outside lower center", ncols=len(levels))
    return picture


def _seeds(ax: Axes, accuracies: Mapping[str, np.ndarray], levels: Mapping[str, float]) -> None:
    """A row for each name: a dot for each seed, their range and their mean; vertical lines at the levels."""
    for (name, value), style in zip(levels.items(), ("--", ":"), strict=False):
        ax.axvline(value, color=NEUTRAL, linestyle=style, linewidth=1.2, label=name)
    for row, a in enumerate(accuracies.values()):
        ax.plot([a.min(), a.max()], [row, row], color=STATE, alpha=0.4, linewidth=4)
        ax.plot(a, np.full(len(a), row), "o", color=STATE, markeredgecolor="white")
        ax.plot(a.mean(), row, "|", color="black", markersize=14)
    ax.set_yticks(range(len(accuracies)), list(accuracies))
    ax.set(title="each seed, and the mean", xlabel="accuracy in the test", ylabel="what is trained")
    ax.invert_yaxis()
