"""What mixers cost: time against length on a log-log plot, and one step of decoding against the context."""

from collections.abc import Mapping

import numpy as np

from ._picture import Picture
from ._style import ATTENTION, NEUTRAL, styled

# Okabe and Ito's colors without ATTENTION's, each twice with another marker and line.
LOOKS = [
    {"color": color, "marker": marker, "linestyle": style}
    for marker, style in (("o", "-"), ("^", "--"))
    for color in ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
]
_SOFTMAX = {"color": ATTENTION, "marker": "s", "linestyle": "-", "linewidth": 2.6}

Line = tuple[np.ndarray, np.ndarray]


def _looks(names: list[str]) -> dict[str, dict]:
    others = [name for name in names if name != "softmax"]
    return {"softmax": _SOFTMAX} | dict(zip(others, LOOKS, strict=False))


@styled
def time_against_length(forms: Mapping[str, Mapping[str, Line]], powers: Mapping[str, int], *, title: str) -> Picture:
    """For each form and mixer (lengths, seconds), a panel a form; a gray line of the slope in `powers` in each."""
    said = []
    for form, lines in forms.items():
        lengths, seconds = lines["softmax"]
        ahead = sum(t[-1] < np.interp(n[-1], lengths, seconds) for n, t in lines.values())
        longest = max(n[-1] for name, (n, _) in lines.items() if name != "softmax")
        said.append(f"{form} up to N = {longest:,.0f}, {ahead} of {len(lines) - 1} quicker than attention at their end")
    picture = Picture(title, f"Seconds against length on logarithmic axes: {'; '.join(said)}.", size=(9.8, 4.2))
    panels = picture.subplots(1, len(forms), sharey=True)
    looks = _looks(list(dict.fromkeys(name for lines in forms.values() for name in lines)))
    for ax, (form, lines) in zip(panels, forms.items(), strict=True):
        for name, (lengths, seconds) in lines.items():
            ax.loglog(lengths, seconds, label=name, **looks[name])
        ends = np.array([min(n[0] for n, _ in lines.values()), max(n[-1] for n, _ in lines.values())])
        lowest = min(t[0] for _, t in lines.values())
        ax.loglog(ends, lowest / 2 * (ends / ends[0]) ** powers[form], color=NEUTRAL, linestyle=":", label="gray")
        ax.set(title=f"{form}; dotted: N{'²' if powers[form] == 2 else ''}", xlabel="N, tokens", ylabel="seconds")
    handles = {label: h for ax in panels for h, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    handles.pop("gray")
    picture.legend(handles.values(), handles.keys(), loc="outside right center")
    return picture


@styled
def decoding_cost(latency: Mapping[str, Line], carried: Mapping[str, Line], *, title: str) -> Picture:
    """For each mixer (contexts, seconds a token) and (contexts, bytes kept)."""
    picture = Picture(
        title,
        "One step of decoding against the tokens before it, from the shortest context to the longest: "
        + "; ".join(
            f"{name}, {1e3 * latency[name][1][0]:.2g} to {1e3 * latency[name][1][-1]:.2g} ms and "
            f"{carried[name][1][0] / 1024:,.0f} to {carried[name][1][-1] / 1024:,.0f} KiB"
            for name in latency
        )
        + ".",
        size=(9.6, 3.6),
    )
    panels = picture.subplots(1, 2)
    looks = _looks(list(latency))
    for ax, lines, unit, label in zip(panels, (latency, carried), (1e3, 1 / 1024), ("ms", "KiB kept"), strict=True):
        for name, (contexts, values) in lines.items():
            ax.loglog(contexts, values * unit, label=name, **looks[name])
        ax.set(xlabel="tokens before this one", ylabel=f"{label} for each token" if label == "ms" else label)
    picture.legend(*panels[0].get_legend_handles_labels(), loc="outside right center")
    return picture
