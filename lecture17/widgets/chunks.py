"""ChunkExplorer: what a chunk size costs in FLOPs and memory, by formula, and in time on this machine. For 03b.

    per token, with r = d_state and d features per head:    recurrent 5 r d        parallel N (2 r + 2 d + 1)
    chunkwise c (2 r + 2 d + 1) + 4 r d + 2 r d / c + 2 r + d, fewest at c = √(2 r d / (2 r + 2 d + 1))

The formulas are those of `lecture17.costs`; the times are of `lecture17.ops.ssd`, which is loaded on demand.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, TypedDict

import numpy as np
from matplotlib.axes import Axes

from lecture17.costs import held, work
from lecture17.figures.picture import DIAGONAL, NEUTRAL, OFF_DIAGONAL, STATE, Picture, styled

from .explorer import Control, Explorer

# All chunk sizes up to these are drawn, and powers of two from there on. FLOPs are fewest at chunks of 11 or less, and
# numbers held at chunks of 3 √(r d) + 1 = 769 or less.
MOST_FOR_FLOPS, MOST_FOR_NUMBERS = 32, 1024
# The most tokens that are timed: in the parallel form, whose matrices then take a few hundred megabytes, and in the
# recurrent form, whose time per token does not depend on the length.
LONGEST = 4096
TIMED_CHUNKS = (16, 32, 64, 128, 256)


@dataclass(frozen=True)
class Params:
    N: int = 4096
    d_state: int = 64
    d_head: int = 64
    chunk_size: int = 64


CONTROLS = (
    Control("N", "tokens N", low=32, high=2**16, doubles=True),
    Control("d_state", "state size", low=1, high=256, doubles=True),
    Control("d_head", "head size", low=1, high=256, doubles=True),
    Control("chunk_size", "chunk size", low=1, high=2**16, doubles=True),
)


def settle(params: Params) -> Params:
    """A chunk has at most all tokens."""
    return replace(params, chunk_size=min(params.chunk_size, params.N))


@dataclass(frozen=True)
class Cost:
    """One kind of cost, per token or in total."""

    sizes: np.ndarray  # chunk sizes
    chunkwise: np.ndarray  # at those
    chosen: float  # chunkwise at the chosen chunk size
    recurrent: float
    parallel: float

    @property
    def best(self) -> int:
        """The chunk size of the lowest cost."""
        return int(self.sizes[np.argmin(self.chunkwise)])


@lru_cache(maxsize=8)
def compute(params: Params) -> dict[str, Cost]:
    """FLOPs per token, and numbers held at once."""
    N, r, d = params.N, params.d_state, params.d_head

    def per_token(form: str, c: int = 1) -> float:
        return work("ssd", form, N, r, d, c).total / N

    def numbers(form: str, c: int = 1) -> float:
        return float(held(form, N, r, d, c))

    def cost(of: Callable[..., float], most: int) -> Cost:
        sizes = np.union1d(np.arange(1, min(N, most) + 1), 2 ** np.arange(N.bit_length()))
        chunkwise = np.array([of("chunkwise", int(c)) for c in sizes])
        return Cost(sizes, chunkwise, of("chunkwise", params.chunk_size), of("recurrent"), of("parallel"))

    return {
        "FLOPs per token": cost(per_token, MOST_FOR_FLOPS),
        "numbers held at once": cost(numbers, MOST_FOR_NUMBERS),
    }


class Times(TypedDict):
    """Microseconds per token, measured here."""

    recurrent: float
    parallel: float | None  # None if its matrix would be too large
    chunkwise: list[tuple[int, float]]  # chunk sizes and their times


def timed(params: Params) -> str:
    """What times depend on, as a key of `times`."""
    return f"{params.N} {params.d_state} {params.d_head}"


def describe(params: Params, times: dict[str, Times] | None = None) -> str:
    flops, memory = compute(params).values()
    measured = (times or {}).get(timed(params))
    return (
        f"With {params.N:,} tokens, state size {params.d_state} and head size {params.d_head}, chunks of "
        f"{params.chunk_size:,} take {flops.chosen:,.0f} FLOPs per token and hold {memory.chosen:,.0f} numbers. The "
        f"recurrent form takes {flops.recurrent:,.0f} and holds {memory.recurrent:,.0f}; the parallel form takes "
        f"{flops.parallel:,.0f} and holds {memory.parallel:,.0f}. Of all chunk sizes, chunks of {flops.best} take the "
        f"fewest FLOPs, and chunks of {memory.best} hold the fewest numbers."
        f"{f' {describe_times(measured)}' if measured else ''}"
    )


def describe_times(times: Times) -> str:
    """What was measured, in words."""
    fastest, chunkwise = min(times["chunkwise"], key=lambda timed: timed[1])
    parallel = times["parallel"]
    return (
        f"Measured on this machine, in microseconds per token: recurrent {_three_digits(times['recurrent'])}, "
        f"chunkwise {_three_digits(chunkwise)} at best, with chunks of {fastest}, parallel "
        f"{'not tried, because its matrix is too large' if parallel is None else _three_digits(parallel)}."
    )


def _three_digits(value: float) -> str:
    return f"{float(f'{value:.3g}'):,g}"


def measure(params: Params) -> Times:
    """Time one head of SSD in PyTorch, float32, in all three forms."""
    import torch  # only here, so that moving a slider does not have to wait for it

    from lecture17.experiments.measure import median_seconds
    from lecture17.ops import ssd

    N, r, d = params.N, params.d_state, params.d_head
    generator = torch.Generator().manual_seed(0)
    x, B, C = (torch.randn(1, N, 1, size, generator=generator) for size in (d, r, r))
    log_a = -0.1 * torch.rand(1, N, 1, generator=generator)

    def per_token(form: Callable[..., object], sequences: list[Any], **options: Any) -> float:
        return 1e6 * median_seconds(partial(form, *sequences, **options), budget=0.2) / sequences[0].shape[1]

    whole = [x, log_a, B, C]
    first = [sequence[:, :LONGEST] for sequence in whole]
    chunk_sizes = [c for c in sorted({*TIMED_CHUNKS, params.chunk_size}) if 1 < c < N]
    return {
        "recurrent": per_token(ssd.recurrent, first),
        "chunkwise": [(c, per_token(ssd.chunkwise, whole, chunk_size=c)) for c in chunk_sizes],
        "parallel": per_token(ssd.parallel, whole) if N <= LONGEST else None,
    }


def headline(params: Params) -> str:
    flops, memory = compute(params).values()
    return f"Fewest FLOPs with chunks of {flops.best}, fewest numbers held with chunks of {memory.best}"


PANELS = {  # limits and ticks of the axis
    "FLOPs per token": ((4, 1e8), {1e2: "100", 1e4: "10 k", 1e6: "1 M", 1e8: "100 M"}),
    "numbers held at once": ((0.8, 1.2e10), {1: "1", 1e3: "1 k", 1e6: "1 M", 1e9: "1 G"}),
    "measured, µs per token": ((1e-2, 1e4), {1e-2: "0.01", 1: "1", 100: "100", 1e4: "10 k"}),
}


@styled
def picture(params: Params, times: dict[str, Times] | None = None) -> Picture:
    """FLOPs, memory and measured times against the chunk size, from recurrent (1) to parallel (N)."""
    made = Picture(headline(params), describe(params, times), (7.4, 3.6))
    axes = made.subplots(1, 3)
    for ax, (name, (limits, ticks)) in zip(axes, PANELS.items(), strict=True):
        ax.set(xlabel="chunk size", ylabel=name, xscale="log", yscale="log", xlim=(0.7, 2**16.5), ylim=limits)
        ax.set_xticks([1, 2**4, 2**8, 2**12, 2**16], ["1", "16", "256", "4 k", "64 k"])
        ax.set_yticks(list(ticks), list(ticks.values()))
        ax.minorticks_off()
    for ax, cost in zip(axes, compute(params).values(), strict=False):
        _draw(ax, params, cost.recurrent, cost.parallel, cost.sizes, cost.chunkwise)
    measured = (times or {}).get(timed(params))
    if measured:
        where, chunkwise = np.array(measured["chunkwise"]).T
        _draw(axes[2], params, measured["recurrent"], measured["parallel"], where, chunkwise)
    else:
        axes[2].text(0.5, 0.5, "not timed yet", ha="center", transform=axes[2].transAxes)
    legend = axes[0].get_legend_handles_labels()
    made.legend(*legend, loc="outside lower center", ncols=5, columnspacing=1.2, handlelength=1.6)
    return made


def _draw(
    ax: Axes, params: Params, recurrent: float, parallel: float | None, where: np.ndarray, chunkwise: np.ndarray
) -> None:
    for name, color, cost in (("recurrent", STATE, recurrent), ("parallel", NEUTRAL, parallel)):
        if cost is not None:
            ax.plot([1, params.N], [cost, cost], "--", color=color, label=name)
    marker = "." if len(where) <= len(TIMED_CHUNKS) + 1 else ""
    ax.plot(where, chunkwise, marker=marker, color=DIAGONAL, label="chunkwise")
    best = np.argmin(chunkwise)
    ax.plot(where[best], chunkwise[best], "o", color=OFF_DIAGONAL, markersize=8, label="lowest")
    ax.axvline(params.chunk_size, color=NEUTRAL, linewidth=1, linestyle=":", label="chosen")


class ChunkExplorer(Explorer):
    """See what a chunk size costs; the button times all three forms on this machine."""

    start = Params()
    controls = CONTROLS
    settle = staticmethod(settle)
    describe = staticmethod(describe)
    picture = staticmethod(picture)
    button = "Time all three forms here"

    def pressed(self) -> None:
        params = self.params
        self.data = {"times": {**self.data.get("times", {}), timed(params): measure(params)}}
