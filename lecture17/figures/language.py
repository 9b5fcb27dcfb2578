"""How well language models learn a text: by steps and by seconds, between levels that say what it means."""

from collections.abc import Mapping, Sequence

import numpy as np

from ._picture import Picture
from ._style import ATTENTION, NEUTRAL, styled
from .cost import LOOKS

Run = tuple[np.ndarray, np.ndarray, np.ndarray]


@styled
def learning_curves(runs: Mapping[str, Sequence[Run]], levels: Mapping[str, float], *, title: str) -> Picture:
    """For each name and seed (steps, seconds, bits per byte in the test); `levels` are reference lines."""
    lines = {name: np.mean(some, axis=0) for name, some in runs.items()}
    picture = Picture(
        title,
        "Bits per byte in the test, mean of the seeds: "
        + "; ".join(
            f"{name}, {bits[0]:.2f} after {steps[0]:,.0f} steps to {bits[-1]:.2f} after {steps[-1]:,.0f} steps and "
            f"{seconds[-1]:.0f} seconds"
            for name, (steps, seconds, bits) in lines.items()
        )
        + f"; for comparison {', '.join(f'{name}, {level:.2f}' for name, level in levels.items())}.",
        size=(9.6, 4.4),
    )
    panels = picture.subplots(1, 2, sharey=True)
    for ax, x, label in zip(panels, (0, 1), ("steps", "seconds of one core"), strict=True):
        for look, (name, some) in zip(LOOKS, runs.items(), strict=False):
            look = look | {"color": ATTENTION, "marker": "s"} if name == "attention" else look
            for run in some:
                ax.plot(run[x], run[2], alpha=0.35, linewidth=1, color=look["color"])
            ax.plot(lines[name][x], lines[name][2], label=name, **look)
        for level, style in zip(levels.values(), ("-.", ":", "--", (0, (1, 4))), strict=False):
            ax.axhline(level, color=NEUTRAL, linestyle=style, linewidth=1.2)
        ax.set(title=f"the same number of {label.split()[0]}", xlabel=label, ylabel="bits per byte in the test")
    for name, level in levels.items():
        panels[1].annotate(
            f" {name}", (1, level), xycoords=("axes fraction", "data"), va="center", color=NEUTRAL, fontsize=9
        )
    picture.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(runs))
    return picture
