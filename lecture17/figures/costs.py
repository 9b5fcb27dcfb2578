"""What mixers cost: FLOPs against the chunk size, time against length, and what grows with the context."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from .picture import (
    ATTENTION,
    DIAGONAL,
    NEUTRAL,
    OFF_DIAGONAL,
    STATE,
    Picture,
    each,
    ends,
    lines_over_sizes,
    name_ends,
    styled,
)

# Okabe and Ito's colors without ATTENTION's, each twice with another marker and line.
LOOKS = [
    {"color": color, "marker": marker, "linestyle": style}
    for marker, style in (("o", "-"), ("^", "--"))
    for color in ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
]
_SOFTMAX = {"color": ATTENTION, "marker": "s", "linestyle": "-", "linewidth": 2.6}
_DASHED = _SOFTMAX | {"marker": "D", "linestyle": "--"}

Line = tuple[np.ndarray, np.ndarray]


def _looks(names: list[str]) -> dict[str, dict]:
    """Attention's names begin with "softmax"; the first has a line of its own, a second one is dashed."""
    attention = dict(zip((n for n in names if n.startswith("softmax")), (_SOFTMAX, _DASHED), strict=False))
    return attention | dict(zip((n for n in names if not n.startswith("softmax")), LOOKS, strict=False))


@styled
def chunk_cost(chunk_sizes: np.ndarray, costs: Mapping[str, np.ndarray], *, title: str) -> Picture:
    """Each of the named costs against the chunk size, with its minimum marked."""
    best = {name: chunk_sizes[np.argmin(cost)] for name, cost in costs.items()}
    picture = Picture(
        title,
        f"Costs against the chunk size {ends(chunk_sizes)}, both axes logarithmic: "
        + "; ".join(
            f"{name} go from {cost[0]:,.0f} down to {cost.min():,.0f} at chunk size {best[name]} and up to "
            f"{cost[-1]:,.0f}"
            for name, cost in costs.items()
        )
        + ".",
    )
    for ax, (name, cost) in zip(picture.in_rows(len(costs)), costs.items(), strict=True):
        ax.plot(chunk_sizes, cost, color=DIAGONAL)
        ax.plot(best[name], cost.min(), "o", color=OFF_DIAGONAL, markersize=9)
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        ax.set(title=f"fewest at chunk size {best[name]}", xlabel="chunk size of the chunkwise form", ylabel=name)
        ax.xaxis.set_major_formatter("{x:.0f}")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:,.0f}")
        ax.yaxis.set_minor_locator(NullLocator())
    return picture


@styled
def growth(tokens: Sequence[int], held: Mapping[str, Sequence[float]], unit: str, *, title: str) -> Picture:
    """Two or three named quantities against the number of tokens, both axes logarithmic.

    The colors are those of the state, of blocks below the diagonal, and of attention, in this order; two quantities get
    the first and the last. A unit that begins with "bytes" is written as kB, MB and GB, powers of ten.
    """
    told = "; ".join(f"{name} {ends(values, ',.0f')}" for name, values in held.items())
    picture = Picture(title, f"{unit} against tokens {ends(tokens, ',')}, logarithmic: {told}.")
    ax = picture.subplots()
    lines_over_sizes(ax, tokens, held, (STATE, ATTENTION) if len(held) == 2 else (STATE, OFF_DIAGONAL, ATTENTION))
    ax.set(xlabel="tokens", ylabel=unit, yscale="log")
    ax.yaxis.set_major_formatter(EngFormatter("B") if unit.startswith("bytes") else "{x:,.0f}")
    picture.legend(loc="outside right center")
    return picture


@styled
def block_ranks(
    lengths: Sequence[int], softmax: Sequence[int], power_law: Sequence[int], ssd: Sequence[int], *, title: str
) -> Picture:
    """Numerical ranks of the lower left block at each length N: softmax attention, a power-law mask, an SSD matrix."""
    picture = Picture(
        title,
        f"Rank of the lower left block against the number of tokens N {ends(lengths)}: softmax attention grows "
        f"{ends(softmax)}, the power-law mask {ends(power_law)}, SSD goes {ends(ssd)}.",
        size=(7.5, 3.8),
    )
    ax = picture.subplots()
    lines = {"softmax attention": softmax, "mask 1 / (1 + i − j)": power_law, "SSD": ssd}
    lines_over_sizes(ax, lengths, lines, (ATTENTION, NEUTRAL, STATE))
    ax.set_yscale("log", base=2)
    ax.set(xlabel="tokens N", ylabel="rank of M[N/2:, :N/2]")
    ax.yaxis.set_major_formatter("{x:.0f}")
    ax.legend()
    return picture


@styled
def time_against_length(forms: Mapping[str, Mapping[str, Line]], powers: Mapping[str, int], *, title: str) -> Picture:
    """For each form and mixer (lengths, seconds): a panel for each form, with a gray line of the slope in `powers`.

    The lines of the last panel carry their names; the others have the same colors.
    """
    said = []
    for form, lines in forms.items():
        lengths, seconds = lines["softmax"]
        ahead = sum(t[-1] < np.interp(n[-1], lengths, seconds) for n, t in lines.values())
        longest = max(n[-1] for name, (n, _) in lines.items() if name != "softmax")
        said.append(f"{form} up to N = {longest:,.0f}, {ahead} of {len(lines) - 1} faster than attention at their end")
    picture = Picture(
        title, f"Seconds against length on logarithmic axes: {'; '.join(said)}.", size=(3.4 + 2.2 * len(forms), 4.2)
    )
    panels = picture.in_rows(len(forms), sharey=True)
    looks = _looks(list(dict.fromkeys(name for lines in forms.values() for name in lines)))
    for ax, (form, lines) in zip(panels, forms.items(), strict=True):
        for name, (lengths, seconds) in lines.items():
            ax.loglog(lengths, seconds, **looks[name])
        span = np.array([min(n[0] for n, _ in lines.values()), max(n[-1] for n, _ in lines.values())])
        lowest = min(t[0] for _, t in lines.values())
        ax.loglog(span, lowest / 2 * (span / span[0]) ** powers[form], color=NEUTRAL, linestyle=":")
        ax.set(title=f"{form}; dotted: N{'²' if powers[form] == 2 else ''}", xlabel="N, tokens")
    panels[0].set_ylabel("seconds")
    name_ends(panels[-1], {name: seconds[-1] for name, (_, seconds) in lines.items()}, looks)
    return picture


@styled
def decoding_cost(latency: Mapping[str, Mapping[str, Line]], kept: Mapping[str, Line], *, title: str) -> Picture:
    """A panel of (tokens so far, seconds of a step) for each batch, and one of (tokens so far, bytes of a sequence).

    In each the same names have the same colors; the last panel carries the names.
    """
    picture = Picture(
        title,
        "One step of decoding against the tokens so far, logarithmic axes, from the fewest to the most tokens: "
        + "; ".join(
            f"{panel}: " + each(lines, lambda line: f"{1e3 * line[1][0]:.2g} to {1e3 * line[1][-1]:.2g} ms")
            for panel, lines in latency.items()
        )
        + "; bytes kept of a sequence: "
        + each(kept, lambda line: f"{line[1][0] / 1e3:,.0f} to {line[1][-1] / 1e3:,.0f} kB")
        + ".",
        size=(10.0, 3.8),
    )
    *panels, memory = picture.subplots(1, len(latency) + 1)
    looks = _looks(list(kept))
    for ax, (panel, lines) in zip(panels, latency.items(), strict=True):
        for name, (contexts, seconds) in lines.items():
            ax.loglog(contexts, 1e3 * seconds, **looks[name])
        ax.set(title=panel, xlabel="tokens so far", ylabel="milliseconds a step")
        ax.sharey(panels[0])
        ax.yaxis.set_major_formatter("{x:g}")
        ax.label_outer()
    for name, (contexts, values) in kept.items():
        memory.loglog(contexts, values, **looks[name])
    memory.set(title="kept of each sequence", xlabel="tokens so far", ylabel="bytes")
    memory.yaxis.set_major_formatter(EngFormatter("B"))
    name_ends(memory, {name: values[-1] for name, (_, values) in kept.items()}, looks)
    return picture
