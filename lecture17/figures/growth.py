"""What grows with the length of the sequence, and what does not."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import NullLocator

from ._picture import Picture
from ._style import ATTENTION, OFF_DIAGONAL, STATE, styled


@styled
def growth(tokens: Sequence[int], held: Mapping[str, Sequence[float]], unit: str, *, title: str) -> Picture:
    """Two or three named quantities against the number of tokens, both axes logarithmic.

    The colors are those of the state, of what lies between and of attention: name the quantities in this order.
    """
    ends = "; ".join(f"{name} from {values[0]:,.0f} to {values[-1]:,.0f}" for name, values in held.items())
    picture = Picture(title, f"{unit} against tokens from {tokens[0]:,} to {tokens[-1]:,}, logarithmic: {ends}.")
    ax = picture.subplots()
    colors = (STATE, ATTENTION) if len(held) == 2 else (STATE, OFF_DIAGONAL, ATTENTION)
    for (name, values), color, marker in zip(held.items(), colors, "osD"[: len(held)], strict=True):
        ax.plot(tokens, np.asarray(values), marker + "-", color=color, label=name)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set(xlabel="tokens", ylabel=unit)
    ax.set_xticks(list(tokens), [f"{n:,}" for n in tokens])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter("{x:,.0f}")
    picture.legend(loc="outside right center")
    return picture
