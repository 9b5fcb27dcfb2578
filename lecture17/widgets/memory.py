"""MemoryExplorer: what a transition's eigenvalues remember, and what they can count.

    S_t = λ S_{t-1} + …        token t - k is still in the state with weight λ^k: the kernel over past tokens
    s_t = λ^{x_t} s_{t-1}      a gate set by the bit x_t: each 1 turns the state, and the angle counts the ones

A positive eigenvalue only shrinks the state, so its angle counts nothing; λ = -1 gives parity, λ = e^{2πi/m} a counter
modulo m. Source: Grazzi et al., arXiv 2411.12537: at finite precision, no linear RNN whose eigenvalues all lie in
[0, ∞) computes parity.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from matplotlib.axes import Axes

from lecture17.figures.picture import ATTENTION, NEUTRAL, OFF_DIAGONAL, STATE, Picture, styled

from .explorer import Control, Explorer

T = 48  # tokens
FAINT = 0.01  # a state smaller than this (it starts at 1) is lost in noise of one percent
ONE, CHANNELS, GATES = "one decay", "a decay per channel", "gates set by the data"
NEGATIVE, COMPLEX = "a negative eigenvalue", "a complex eigenvalue"
USED_BY = {
    ONE: "RetNet without its rotation",
    CHANNELS: "RWKV-4",
    GATES: "Mamba-2, GLA",
    NEGATIVE: "DeltaNet with β up to 2",
    COMPLEX: "Mamba-3, S4D",
}


@dataclass(frozen=True)
class Params:
    kind: str = COMPLEX
    size: float = 0.95
    period: int = 6
    seed: int = 0


CONTROLS = (
    Control("kind", "memory", "choice", tuple(USED_BY)),
    Control("size", "size |λ|", low=0, high=1, step=0.005),
    Control("period", "count modulo", low=2, high=12),
    Control("seed", "seed of the bits", low=0, high=999, more=True),
)


def settle(params: Params) -> Params:
    """Only a complex eigenvalue has a period to choose, 3 or more; every other kind tries parity."""
    return replace(params, period=max(3, params.period) if params.kind == COMPLEX else 2)


@dataclass(frozen=True)
class Result:
    """The kernel, and an attempt to count ones."""

    eigenvalues: np.ndarray  # (channels,), complex
    kernels: np.ndarray  # (channels, T): weight in the state of the token k steps ago, k = 0 … T-1
    bits: np.ndarray  # (T,), bool
    counts: np.ndarray  # (T,): ones so far, modulo the period
    states: np.ndarray  # (T,), complex: 1, multiplied by the (first) eigenvalue for each 1 so far
    read: np.ndarray  # (T,): the count read from the angle of the state, -1 where it is too faint

    @property
    def readable(self) -> np.ndarray:
        return self.read >= 0

    @property
    def right(self) -> np.ndarray:
        return self.read == self.counts


@lru_cache(maxsize=8)
def compute(params: Params) -> Result:
    angle = {NEGATIVE: np.pi, COMPLEX: 2 * np.pi / params.period}.get(params.kind, 0.0)
    sizes = params.size**0.5 ** np.arange(4 if params.kind == CHANNELS else 1)  # each channel half as fast
    bits = np.random.RandomState(params.seed).random_sample(T) < 0.5
    ones = np.cumsum(bits)
    # The token k steps ago has passed k transitions or, with gates, one for each 1 among the last k bits.
    passed = ones[-1] - ones[::-1] if params.kind == GATES else np.arange(T)
    left = params.size**ones
    states = left * np.exp(1j * angle * ones)
    read = np.round(np.angle(states) * params.period / (2 * np.pi)).astype(int) % params.period
    return Result(
        sizes * np.exp(1j * angle),
        sizes[:, None] ** passed * np.cos(angle * passed),
        bits,
        ones % params.period,
        states,
        np.where(left >= FAINT, read, -1),
    )


def _kernel_in_words(params: Params) -> str:
    """What happens to the weight of a token."""
    if params.size in (0, 1):
        per = "1" if params.kind == GATES else "token"
        fades = "never fades" if params.size else f"is gone at the next {per}"
    else:
        half = np.log(0.5) / np.log(params.size)
        fades = {
            CHANNELS: f"is halved every {half:.1f} tokens in the first of four channels, {8 * half:.1f} in the last",
            GATES: f"is halved every {half:.1f} ones that follow it, while zeros keep it",
        }.get(params.kind, f"is halved every {half:.1f} tokens")
    swings = {NEGATIVE: "changes sign at every token and ", COMPLEX: f"oscillates once in {params.period} tokens and "}
    return f"a token's weight {swings.get(params.kind, '') if params.size else ''}{fades}"


def describe(params: Params) -> str:
    r = compute(params)
    λ = {NEGATIVE: f"−{params.size:g}", COMPLEX: f"{params.size:g} e^(2πi/{params.period})"}
    counting = {
        NEGATIVE: "the sign of the state gives the parity of the ones, which is right",
        COMPLEX: f"the angle of the state gives the number of ones modulo {params.period}, which is right",
    }.get(params.kind, "nothing turns the state, so the only possible answer to parity is “even”, which is right")
    faint = int((~r.readable).sum())
    lost = f"; at {faint} the state is too faint to read" if faint else ""
    return (
        f"{params.kind.capitalize()}, λ = {λ.get(params.kind, f'{params.size:g}')} (as in {USED_BY[params.kind]}): "
        f"{_kernel_in_words(params)}. When each 1 of {T} random bits multiplies a state by λ, {counting} at "
        f"{int(r.right.sum())} of {T} tokens{lost}. (Seed {params.seed}.)"
    )


def headline(params: Params) -> str:
    kept = "fades" if 0 < params.size < 1 else "never fades" if params.size else "does not last"
    turns = params.kind in (NEGATIVE, COMPLEX)
    able = "cannot count" if not turns else "counts" if compute(params).right.all() else "counts until it is too faint"
    return f"{params.kind.capitalize()}: memory {kept}, and {able}"


@styled
def picture(params: Params) -> Picture:
    """Above, eigenvalues in the unit disk and the kernel they give; below, the number of ones read from the state."""
    r = compute(params)
    made = Picture(headline(params), describe(params), (7.4, 5.0))
    rows = made.add_gridspec(2, 1, height_ratios=(1.3, 1), hspace=0.08)
    above = rows[0].subgridspec(1, 2, width_ratios=(1, 1.7))
    _draw_disk(made.add_subplot(above[0]), r)
    kernel = made.add_subplot(above[1])
    kernel.axhline(0, color=NEUTRAL, linewidth=0.8)
    kernel.plot(r.kernels.T, ".-", color=STATE, linewidth=1)
    kernel.set(title="weight of the token k tokens ago", xlabel="k", ylabel="weight, real part")
    kernel.set(xlim=(-1, T), ylim=(-1.1, 1.1))
    _draw_count(made.add_subplot(rows[1]), params, r)
    return made


def _draw_disk(ax: Axes, r: Result) -> None:
    around = np.exp(2j * np.pi * np.linspace(0, 1, 181))
    ax.plot(around.real, around.imag, color=NEUTRAL, linewidth=1)
    ax.plot([-1, 1, np.nan, 0, 0], [0, 0, np.nan, -1, 1], color=NEUTRAL, linewidth=0.6)
    ax.plot(r.states.real, r.states.imag, "o", color=OFF_DIAGONAL, fillstyle="none")
    both = np.concatenate([r.eigenvalues, r.eigenvalues.conj()])
    ax.plot(both.real, both.imag, "o", color=STATE, markersize=9)
    ax.set(title="● eigenvalues   ○ states", xlabel="real part", ylabel="imaginary part", aspect="equal")
    ax.set(xlim=(-1.15, 1.15), ylim=(-1.15, 1.15), xticks=(-1, 0, 1), yticks=(-1, 0, 1))


def _draw_count(ax: Axes, params: Params, r: Result) -> None:
    t, top = np.arange(T), params.period - 1
    wrong = r.readable & ~r.right
    ax.plot(t, r.counts, color=NEUTRAL, drawstyle="steps-mid", linewidth=1, label="true count")
    ax.plot(t[r.right], r.counts[r.right], "o", color=STATE, label="read right")
    ax.plot(t[wrong], r.read[wrong], "x", color=ATTENTION, markersize=7, label="read wrong")
    ax.plot(t[~r.readable], r.counts[~r.readable], "o", color=NEUTRAL, fillstyle="none", label="too faint")
    ax.plot(t[r.bits], np.full(r.bits.sum(), -0.2 * top), "|", color="black", markersize=9, label="a 1 comes in")
    title = f"number of ones so far, modulo {params.period}, read from the angle of the state"
    ax.set_title(title, y=1.02)
    ax.set(xlabel="token", xlim=(-1, T), ylim=(-0.35 * top, 1.55 * top), ylabel="count", yticks=(0, top))
    ax.legend(loc="upper left", ncols=5, columnspacing=1, handletextpad=0.4, borderaxespad=0)


class MemoryExplorer(Explorer):
    """See how eigenvalues make a memory fade, oscillate or last, and which of them can count."""

    start = Params()
    controls = CONTROLS
    settle = staticmethod(settle)
    describe = staticmethod(describe)
    picture = staticmethod(picture)
