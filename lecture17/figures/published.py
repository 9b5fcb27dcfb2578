"""What a trained model does with its states: how long its heads remember, and what it loses with its state."""

from collections.abc import Mapping, Sequence

import numpy as np

from .picture import DIAGONAL, NEUTRAL, OFF_DIAGONAL, OUTPUT, STATE, Picture, each, ends, styled


@styled
def half_lives(layers: Sequence[np.ndarray], *, title: str) -> Picture:
    """For each layer the tokens after which a head has forgotten half, a dot a head, on a logarithmic axis."""
    told = each(
        {f"layer {i}": np.sort(heads) for i, heads in enumerate(layers)},
        lambda heads: f"{len(heads)} heads, {ends(heads, '.3g')}",
    )
    picture = Picture(title, f"Half-lives in tokens of the heads of each layer: {told}.", size=(8.0, 3.2))
    ax = picture.subplots()
    for i, heads in enumerate(layers):
        ax.plot(heads, np.full(len(heads), i), "o", color=STATE, markersize=8, alpha=0.7)
    ax.set(xscale="log", xlabel="tokens until half is forgotten", ylabel="layer", ylim=(len(layers) - 0.5, -0.5))
    ax.set_yticks(range(len(layers)))
    return picture


@styled
def after_a_cut(losses: Mapping[str, np.ndarray], *, title: str) -> Picture:
    """Bits per byte at each byte after the place where a text was cut, one line for each way to go on."""
    told = each(losses, lambda bits: f"{bits[0]:.1f} bits at the first byte and {bits[-8:].mean():.1f} at the end")
    picture = Picture(title, f"Bits per byte at each byte after a cut: {told}.", size=(8.6, 3.4))
    ax = picture.subplots()
    for (name, bits), color, dash in zip(losses.items(), (STATE, OFF_DIAGONAL, OUTPUT, DIAGONAL), "-:-:", strict=False):
        ax.plot(np.arange(1, len(bits) + 1), bits, dash, color=color, label=name)
    ax.axhline(8, color=NEUTRAL, linewidth=0.8)
    ax.set(xlabel="bytes after the cut", ylabel="bits per byte", xscale="log")
    ax.legend()
    return picture
