"""ChunkExplorer: what a chunk size costs in FLOPs and memory, by formula, and in time on this machine. For 03b.

    per token, with r = d_state and d features per head:    recurrent 5 r d        parallel N (2 r + 2 d + 1)
    chunkwise c (2 r + 2 d + 1) + 4 r d + 2 r d / c + 2 r + d, fewest at c = √(2 r d / (2 r + 2 d + 1))

The formulas are those of `lecture17.costs`; the times are of `lecture17.ops.ssd`, which is loaded on demand.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import traitlets
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from lecture17.costs import flops, held
from lecture17.figures.picture import DIAGONAL, NEUTRAL, OFF_DIAGONAL, STATE, styled

from .drawn import Control, Scene
from .drawn import DrawnExplorer as Explorer

LENGTHS = tuple(2**k for k in range(8, 17))
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


def controls(params: Params) -> tuple[Control, ...]:
    return (
        Control("N", "tokens N", LENGTHS, text="{:,}".format),
        Control("d_state", "state size", (16, 32, 64, 128, 256)),
        Control("d_head", "head size", (16, 32, 64, 128)),
        Control("chunk_size", "chunk size", tuple(2**k for k in range(params.N.bit_length())), text="{:,}".format),
    )


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
    """FLOPs per token, at every chunk size up to 32 and at powers of two; numbers held, at powers of two."""
    N, r, d = params.N, params.d_state, params.d_head
    powers = [2**k for k in range(N.bit_length())]

    def per_token(form: str, c: int = 1) -> float:
        return flops("ssd", form, N, r, d, c) / N

    def numbers(form: str, c: int = 1) -> float:
        return float(held(form, N, r, d, c))

    def cost(of: Callable[..., float], sizes: np.ndarray) -> Cost:
        chunkwise = np.array([of("chunkwise", int(c)) for c in sizes])
        return Cost(sizes, chunkwise, of("chunkwise", params.chunk_size), of("recurrent"), of("parallel"))

    return {
        "FLOPs per token": cost(per_token, np.unique([*range(1, 33), *powers])),
        "numbers held": cost(numbers, np.array(powers)),
    }


def describe(params: Params) -> str:
    work, memory = compute(params).values()
    return (
        f"With {params.N:,} tokens, state size {params.d_state} and head size {params.d_head}, chunks of "
        f"{params.chunk_size:,} take {work.chosen:,.0f} FLOPs per token and hold {memory.chosen:,.0f} numbers. The "
        f"recurrent form takes {work.recurrent:,.0f} and holds {memory.recurrent:,.0f}; the parallel form takes "
        f"{work.parallel:,.0f} and holds {memory.parallel:,.0f}. Of all chunk sizes, chunks of {work.best} take the "
        f"fewest FLOPs, and chunks of {memory.best} hold the fewest numbers."
    )


Times = dict[tuple[str, int], float]  # microseconds per token, by form and chunk size


def measure(params: Params) -> Times:
    """Time one head of SSD in PyTorch, float32, in all three forms."""
    import torch  # only here, so that moving a slider does not have to wait for it

    from lecture17.experiments.measure import median_seconds
    from lecture17.ops import ssd

    N, r, d = params.N, params.d_state, params.d_head
    generator = torch.Generator().manual_seed(0)
    x, B, C = (torch.randn(1, N, 1, size, generator=generator) for size in (d, r, r))
    log_a = -0.1 * torch.rand(1, N, 1, generator=generator)
    first = [sequence[:, :LONGEST] for sequence in (x, log_a, B, C)]
    times = {("recurrent", 1): 1e6 * median_seconds(partial(ssd.recurrent, *first), budget=0.2) / min(N, LONGEST)}
    calls: dict[tuple[str, int], Callable[[], object]] = {}
    for c in sorted({*TIMED_CHUNKS, params.chunk_size}):
        if 1 < c < N:
            calls["chunkwise", c] = partial(ssd.chunkwise, x, log_a, B, C, chunk_size=c)
    if N <= LONGEST:
        calls["parallel", N] = partial(ssd.parallel, x, log_a, B, C)
    return times | {key: 1e6 * median_seconds(call, budget=0.2) / N for key, call in calls.items()}


def describe_times(params: Params, times: Times) -> str:
    """What was measured, in words."""
    fastest = min((c for form, c in times if form == "chunkwise"), key=lambda c: times["chunkwise", c])
    parallel = times.get(("parallel", params.N))
    return (
        f"Measured on this machine, in microseconds per token: recurrent {times['recurrent', 1]:.3g}, chunkwise "
        f"{times['chunkwise', fastest]:.3g} at best, with chunks of {fastest}, "
        + (f"parallel {parallel:.3g}." if parallel else "parallel not tried, because its matrix is too large.")
    )


class ChunksScene(Scene):
    """FLOPs, memory and measured times against the chunk size, from recurrent (1) to parallel (N)."""

    @styled
    def __init__(self) -> None:
        super().__init__((7.4, 3.6))
        self.times: dict[tuple[int, int, int], Times] = {}  # by N, state size and head size
        work, memory, time = self.subplots(1, 3)
        self.panels = [
            Panel(work, "FLOPs per token", (3e2, 3e8), {1e3: "1 k", 1e5: "100 k", 1e7: "10 M"}),
            Panel(memory, "numbers held at once", (1e2, 3e10), {1e3: "1 k", 1e6: "1 M", 1e9: "1 G"}),
            Panel(time, "measured, µs per token", (1e-2, 1e4), {0.1: "0.1", 10: "10", 1e3: "1,000"}),
        ]
        self.not_timed = time.text(
            0.5, 0.5, "not timed yet", ha="center", transform=time.transAxes, backgroundcolor="white"
        )
        handles = [*self.panels[0].curves, self.panels[0].lowest, self.panels[0].chosen]
        self.legend(handles=handles, loc="outside lower center", ncols=5, columnspacing=1.2, handlelength=1.6)
        self.moving += [*(artist for panel in self.panels for artist in panel.moving), self.not_timed]
        self.follow(Params())

    def follow(self, params: Params) -> None:
        costs = compute(params)
        work, memory = costs.values()
        self.headline.set_text(
            f"Fewest FLOPs with chunks of {work.best}, fewest numbers held with chunks of {memory.best}"
        )
        for panel, cost in zip(self.panels, costs.values(), strict=False):
            panel.follow(params, cost.recurrent, cost.parallel, cost.sizes, cost.chunkwise)
        times = self.times.get((params.N, params.d_state, params.d_head))
        self.not_timed.set_visible(times is None)
        times = times or {}
        sizes = np.array([c for form, c in times if form == "chunkwise"])
        chunkwise = np.array([times["chunkwise", int(c)] for c in sizes])
        recurrent, parallel = (times.get(key, np.nan) for key in (("recurrent", 1), ("parallel", params.N)))
        self.panels[2].follow(params, recurrent, parallel, sizes, chunkwise)


class Panel:
    """One cost against the chunk size, both logarithmic."""

    def __init__(self, ax: Axes, name: str, limits: tuple[float, float], ticks: dict[float, str]) -> None:
        ax.set(xlabel="chunk size", ylabel=name, xscale="log", yscale="log", xlim=(0.7, 2**16.5), ylim=limits)
        ax.set_xticks([1, 2**4, 2**8, 2**12, 2**16], ["1", "16", "256", "4 k", "64 k"])
        ax.set_yticks(list(ticks), list(ticks.values()))
        ax.minorticks_off()
        looks = (("recurrent", STATE, "--"), ("parallel", NEUTRAL, "--"), ("chunkwise", DIAGONAL, ".-"))
        self.curves: list[Line2D] = [ax.plot([], [], look, color=color, label=name)[0] for name, color, look in looks]
        self.lowest = ax.plot([], [], "o", color=OFF_DIAGONAL, markersize=8, label="lowest")[0]
        self.chosen = ax.axvline(1, color=NEUTRAL, linewidth=1, linestyle=":", label="chosen")
        self.moving = [self.chosen, *self.curves, self.lowest]

    def follow(
        self, params: Params, recurrent: float, parallel: float, sizes: np.ndarray, chunkwise: np.ndarray
    ) -> None:
        self.chosen.set_xdata([params.chunk_size] * 2)
        for line, cost in zip(self.curves, (recurrent, parallel), strict=False):
            line.set_data([1, params.N], [cost, cost])
        self.curves[2].set_data(sizes, chunkwise)
        self.curves[2].set_marker("." if len(sizes) <= len(TIMED_CHUNKS) + 1 else "")
        best = [np.argmin(chunkwise)] if len(sizes) else []
        self.lowest.set_data(sizes[best], chunkwise[best])


class ChunkExplorer(Explorer):
    """See what a chunk size costs; the button times all three forms on this machine."""

    start = Params()
    scene_type = ChunksScene
    controls_for = staticmethod(controls)
    describe = staticmethod(describe)
    button = traitlets.Unicode("Time all three forms here").tag(sync=True)

    def pressed(self) -> None:
        params = self.params
        self.scene.times[params.N, params.d_state, params.d_head] = measure(params)

    def say(self, params: Params) -> str:
        times = self.scene.times.get((params.N, params.d_state, params.d_head))
        return describe(params) + (f" {describe_times(params, times)}" if times else "")
