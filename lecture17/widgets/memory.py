"""MemoryExplorer: what a transition's eigenvalues remember, and what they can count. Introduced in 01_tour.

    S_t = λ S_{t-1} + …        token t - k is still in the state with weight λ^k: the kernel over past tokens
    s_t = λ^{x_t} s_{t-1}      a gate set by the bit x_t: each 1 turns the state, and the angle counts the ones

A positive eigenvalue only shrinks the state, so its angle counts nothing; λ = -1 gives parity, λ = e^{2πi/m} a counter
modulo m. Source: Grazzi et al., arXiv 2411.12537: at finite precision, no linear RNN whose eigenvalues all lie in
[0, ∞) computes parity.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from lecture17.figures.picture import ATTENTION, NEUTRAL, OFF_DIAGONAL, STATE, styled

from .drawn import Control, Scene
from .drawn import DrawnExplorer as Explorer

T = 48  # tokens
FAINT = 0.01  # a state smaller than this (it starts at 1) is lost in noise of one percent
SIZES = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0)
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


def controls(params: Params) -> tuple[Control, ...]:
    periods = tuple(range(3, 13)) if params.kind == COMPLEX else (2,)
    return (
        Control("kind", "memory", tuple(USED_BY), "choice"),
        Control("size", "size |λ|", SIZES, text="{:g}".format),
        Control("period", "count modulo", periods),
        Control("seed", "seed of the bits", tuple(range(20))),
    )


@dataclass(frozen=True)
class Result:
    """The kernel, and an attempt to count ones."""

    eigenvalues: np.ndarray  # (channels,), complex
    kernels: np.ndarray  # (channels, T): weight in the state of the token k steps ago, k = 0 … T-1
    bits: np.ndarray  # (T,)
    counts: np.ndarray  # (T,): ones so far, modulo the period
    states: np.ndarray  # (T,), complex: 1, multiplied by the (first) eigenvalue for each 1 so far
    read: np.ndarray  # (T,): the count read from the angle of the state
    readable: np.ndarray  # (T,): whether the state is large enough to read its angle

    @property
    def right(self) -> np.ndarray:
        return self.readable & (self.read == self.counts)


@lru_cache(maxsize=8)
def compute(params: Params) -> Result:
    turn = {NEGATIVE: -1.0 + 0j, COMPLEX: np.exp(2j * np.pi / params.period)}.get(params.kind, 1.0 + 0j)
    slower = 0.5 ** np.arange(4) if params.kind == CHANNELS else np.ones(1)
    eigenvalues = turn * params.size**slower
    bits = np.random.default_rng(params.seed).integers(0, 2, size=T)
    ones = np.cumsum(bits)
    # The token k steps ago has passed k transitions or, with gates, one for each 1 among the last k bits.
    passed = ones[-1] - ones[::-1] if params.kind == GATES else np.arange(T)
    states = eigenvalues[0] ** ones
    period = params.period
    return Result(
        eigenvalues,
        (eigenvalues[:, None] ** passed).real,
        bits,
        ones % period,
        states,
        np.round(np.angle(states) / (2 * np.pi / period)).astype(int) % period,
        np.abs(states) >= FAINT,
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


class MemoryScene(Scene):
    """Above, eigenvalues in the unit disk and the kernel they give; below, the number of ones read from the state."""

    @styled
    def __init__(self) -> None:
        super().__init__((7.4, 5.0))
        rows = self.add_gridspec(2, 1, height_ratios=(1.3, 1), hspace=0.08)
        above = rows[0].subgridspec(1, 2, width_ratios=(1, 1.7))
        disc, kernel, count = self.add_subplot(above[0]), self.add_subplot(above[1]), self.add_subplot(rows[1])
        self._draw_disc(disc)
        kernel.axhline(0, color=NEUTRAL, linewidth=0.8)
        self.kernels = self.moves(kernel.plot([], [], ".-", color=STATE, linewidth=1)[0] for _ in range(4))
        kernel.set(title="weight of the token k tokens ago", xlabel="k", ylabel="weight, real part")
        kernel.set(xlim=(-1, T), ylim=(-1.1, 1.1))
        self._draw_count(count)
        self.follow(Params())

    def _draw_disc(self, ax: Axes) -> None:
        around = np.exp(2j * np.pi * np.linspace(0, 1, 181))
        ax.plot(around.real, around.imag, color=NEUTRAL, linewidth=1)
        ax.plot([-1, 1, np.nan, 0, 0], [0, 0, np.nan, -1, 1], color=NEUTRAL, linewidth=0.6)
        [self.visited] = self.moves(ax.plot([], [], "o", color=OFF_DIAGONAL, fillstyle="none"))
        [self.points] = self.moves(ax.plot([], [], "o", color=STATE, markersize=9))
        ax.set(title="● eigenvalues   ○ states", xlabel="real part", ylabel="imaginary part", aspect="equal")
        ax.set(xlim=(-1.15, 1.15), ylim=(-1.15, 1.15), xticks=(-1, 0, 1), yticks=(-1, 0, 1))

    def _draw_count(self, ax: Axes) -> None:
        steps: dict[str, Any] = {"drawstyle": "steps-mid", "linewidth": 1}
        [self.truth] = self.moves(ax.plot([], [], color=NEUTRAL, label="true count", **steps))
        [self.right] = self.moves(ax.plot([], [], "o", color=STATE, label="read right"))
        [self.wrong] = self.moves(ax.plot([], [], "x", color=ATTENTION, markersize=7, label="read wrong, or too faint"))
        [self.ones] = self.moves(ax.plot([], [], "|", color="black", markersize=9, label="a 1 comes in"))
        [self.count_title] = self.moves([ax.set_title("the number of ones", y=1.02)])
        ax.set(xlabel="token", xlim=(-1, T), ylim=(-0.35, 1.55), ylabel="count")
        ax.set_yticks([0, 1], ["0", "last"])
        ax.legend(loc="upper left", ncols=4, columnspacing=1, handletextpad=0.4, borderaxespad=0)

    def follow(self, params: Params) -> None:
        r = compute(params)
        kept = "never fades" if params.size == 1 else "fades"
        turns = params.kind in (NEGATIVE, COMPLEX)
        able = "cannot count" if not turns else "counts" if r.right.all() else "counts until it is too faint"
        self.headline.set_text(f"{params.kind.capitalize()}: memory {kept}, and {able}")
        conjugates = np.concatenate([r.eigenvalues, r.eigenvalues.conj()])
        self.points.set_data(conjugates.real, conjugates.imag)
        self.visited.set_data(r.states.real, r.states.imag)
        for i, curve in enumerate(self.kernels):
            curve.set_visible(i < len(r.kernels))
            curve.set_data(np.arange(T), r.kernels[min(i, len(r.kernels) - 1)])
        t, height = np.arange(T), r.counts / (params.period - 1)
        self.truth.set_data(t, height)
        self.right.set_data(t[r.right], height[r.right])
        wrong = (r.read / (params.period - 1))[~r.right]
        self.wrong.set_data(t[~r.right], wrong)
        self.ones.set_data(t[r.bits == 1], np.full(int(r.bits.sum()), -0.2))
        self.count_title.set_text(f"number of ones so far, modulo {params.period}, read from the angle of the state")


class MemoryExplorer(Explorer):
    """See how eigenvalues make a memory fade, oscillate or last, and which of them can count."""

    start = Params()
    scene_type = MemoryScene
    controls_for = staticmethod(controls)
    describe = staticmethod(describe)
