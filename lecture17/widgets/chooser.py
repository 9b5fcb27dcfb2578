"""ArchitectureChooser: what every mixer costs for a task, and which to take and why. Introduced in 05e_choose.

The mixing of one layer, without its projections: 8 heads, keys and values of 64 numbers (Mamba-1: 512 channels with 16
state entries each), float32, batch 1.

    training    FLOPs of a forward pass over N tokens; bytes held for both passes besides inputs and outputs
    decoding    FLOPs of the token after N others; bytes carried from token to token

FLOPs and numbers come from `lecture17.costs`, seconds from rows of `lecture17.bench` if there are any.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from lecture17.costs import carried, flops, held
from lecture17.figures.picture import NEUTRAL, OFF_DIAGONAL, STATE, styled
from lecture17.mixers import ANY_TOKEN, CHUNK, HEADS, LAST_VALUE, MIXERS, RECALLS, THE_GIST, D

from .drawn import Control, DrawnExplorer, Scene

if TYPE_CHECKING:
    from lecture17.bench import Row

BYTES = 4  # of a number
HYBRID = "hybrid"
ATTENTION_SHARE = 1 / 8  # of a hybrid's layers, as in Jamba (arXiv 2403.19887); the others are SSD here
ROUTES = 4  # over an image, as in VMamba (arXiv 2401.10166)

# What has to be recalled → the rule that says which mixers can do it.
RULES = {
    THE_GIST: "For the gist, scores or a gate must decide by the token what is kept (arXiv 2312.00752)",
    LAST_VALUE: "To read the last value of a key, the old value must be removed (delta rule, RWKV-7) or outscored "
    "(softmax that knows positions)",
    ANY_TOKEN: "To copy any text of N tokens, a state must grow with N (arXiv 2402.01032), as a cache does",
}
LIMITS = {"100 kB": 1e5, "1 MB": 1e6, "10 MB": 1e7, "100 MB": 1e8, "1 GB": 1e9}


@dataclass(frozen=True)
class Params:
    N: int = 16384
    limit: str = "10 MB"
    phase: str = "decoding"
    recall: str = "last value of a key"
    shape: str = "1-D"


def controls(params: Params) -> tuple[Control, ...]:
    return (
        Control("N", "tokens N", tuple(2**k for k in range(6, 21)), text="{:,}".format),
        Control("limit", "memory per layer", tuple(LIMITS)),
        Control("phase", "what for", ("training", "decoding"), "choice"),
        Control("recall", "recall", RECALLS, "choice"),
        Control("shape", "data", ("1-D", "2-D"), "choice"),
    )


@dataclass(frozen=True)
class Cost:
    """What one mixer costs, for all heads of a layer."""

    flops: float
    memory: float  # bytes
    seconds: float | None  # predicted from measurements, where there are any
    fits: bool  # into the memory limit
    recalls: bool  # what is asked for


@dataclass(frozen=True)
class Choice:
    """The costs of every mixer, the one to take, and why."""

    costs: dict[str, Cost]
    best: str
    reasons: tuple[str, ...]


def names() -> dict[str, str]:
    """What can be chosen, by title; what recalls the most comes first."""
    rows = sorted(MIXERS.values(), key=lambda row: RECALLS.index(row.recalls) if row.recalls else -1, reverse=True)
    titles = {row.name: row.title for row in rows}
    grows = [row.name for row in rows if row.grows]
    return {name: titles[name] for name in grows} | {HYBRID: "hybrid, 1 in 8 softmax"} | titles


def able(recall: str) -> list[str]:
    """The mixers that recall at least that much."""
    enough = RECALLS[RECALLS.index(recall) :]
    return [name for name in names() if name == HYBRID or MIXERS[name].recalls in enough]


def layer_flops(mixer: str, phase: str, N: int) -> float:
    """FLOPs of a layer for a forward pass over N tokens, or for decoding the token after N others."""
    row = MIXERS[mixer]
    if phase == "training":
        return HEADS * flops(mixer, row.trained_form, N, row.d_k, D, CHUNK)
    return HEADS * flops(mixer, "step", N + 1, row.d_k, D)


def layer_memory(mixer: str, phase: str, N: int) -> float:
    """Bytes of a layer besides inputs and outputs.

    Training is counted for fused kernels. They hold one tile of scores and, for the backward pass, one number per token
    (softmax) or the state before each chunk. Where chunks are not matrix products, all states of a chunk replace the
    tile.
    """
    row = MIXERS[mixer]
    state = carried(mixer, N, row.d_k, D)
    if phase == "decoding":
        return BYTES * HEADS * state
    c = min(CHUNK, N)
    tile = c * state if row.per_channel else held("parallel", c, row.d_k, D)
    return BYTES * HEADS * (tile + (N if row.grows else -(-N // c) * state))


def seconds(mixer: str, phase: str, N: int, rows: "Iterable[Row]") -> float | None:
    """Time of a layer from the rows that measured it: between two lengths, a straight line on a log-log plot.

    Beyond the last length, and in training before the first, the nearest measurement is scaled by the ratio of FLOPs.
    Returns None if no row has measured it.
    """
    wanted = MIXERS[mixer].trained_form if phase == "training" else "step"
    times = {row.N: row.seconds for row in rows if (row.mixer, row.form) == (mixer, wanted)}
    if not times:
        return None
    lengths = sorted(times)
    found = float(np.exp(np.interp(np.log(N), np.log(lengths), np.log([times[n] for n in lengths]))))
    nearest = min(max(N, lengths[0]), lengths[-1]) if phase == "training" else min(N, lengths[-1])
    return found * layer_flops(mixer, phase, N) / layer_flops(mixer, phase, nearest)


def _of(quantity: Callable[[str], Any], mixer: str, params: Params, all_pairs: int = 2) -> Any:
    """A cost of one layer (for a hybrid the mean over its layers), with all the routes that an image takes.

    Where a causal kernel can skip half of the pairs, `all_pairs` cost twice as much.
    """
    if mixer == HYBRID:
        parts = [_of(quantity, part, params, all_pairs) for part in ("softmax", "ssd")]
        if None in parts:
            return None
        return ATTENTION_SHARE * parts[0] + (1 - ATTENTION_SHARE) * parts[1]
    one = quantity(mixer)
    if one is None or params.shape == "1-D" or params.phase == "decoding":
        return one
    return one * (all_pairs if MIXERS[mixer].grows else ROUTES)


@lru_cache(maxsize=8)
def compute(params: Params, rows: "tuple[Row, ...]" = ()) -> Choice:
    """The costs of every mixer, and the choice that follows from them by the rules."""
    enough, title = able(params.recall), names()
    costs = {}
    for mixer in title:
        memory = _of(lambda m: layer_memory(m, params.phase, params.N), mixer, params)
        costs[mixer] = Cost(
            _of(lambda m: layer_flops(m, params.phase, params.N), mixer, params, all_pairs=1),  # masked pairs count
            memory,
            _of(lambda m: seconds(m, params.phase, params.N, rows), mixer, params),
            memory <= LIMITS[params.limit],
            mixer in enough,
        )
    candidates = [mixer for mixer in enough if costs[mixer].fits]
    if candidates:
        timed = all(costs[mixer].seconds is not None for mixer in candidates)
        ranked = sorted(candidates, key=lambda m: costs[m].seconds if timed else costs[m].flops)  # type: ignore[arg-type,return-value]
        best, by_cost = ranked[0], _cost_reason(costs, ranked, timed)
    else:
        best = min(enough, key=lambda m: costs[m].memory)
        by_cost = f"{title[best]} comes nearest, but nothing fits: raise the limit, shorten N, or ask for less recall"
    reasons = [RULES[params.recall], _memory_reason(params, costs), by_cost]
    if params.shape == "2-D":
        reasons.append(
            f"An image takes {ROUTES} scans, along {ROUTES} routes (arXiv 2401.10166); softmax looks at all pairs of "
            "pixels, half of which a causal kernel would skip"
            if params.phase == "training"
            else "Pixels are generated one after another, so there is only one route, row by row"
        )
    return Choice(costs, best, tuple(reasons))


def _memory_reason(params: Params, costs: dict[str, Cost]) -> str:
    fitting = sum(cost.fits for cost in costs.values())
    needs = {mixer: size(costs[mixer].memory) for mixer in ("softmax", "delta_rule")}
    verb = "carries" if params.phase == "decoding" else "holds"
    return (
        f"{fitting} of {len(costs)} fit into {params.limit}: softmax {verb} {needs['softmax']}, the delta rule "
        f"{needs['delta_rule']} per layer"
    )


def _cost_reason(costs: dict[str, Cost], ranked: list[str], timed: bool) -> str:
    (best, *others), title = ranked, names()
    how = "is fastest by this machine's times" if timed else "takes the fewest FLOPs"

    def amount(mixer: str) -> str:
        cost = costs[mixer]
        return duration(cost.seconds) if timed and cost.seconds is not None else count(cost.flops)

    words = f"Among those that fit and recall enough, {title[best]} {how}, {amount(best)}"
    return f"{words}; next is {title[others[0]]}, {amount(others[0])}" if others else f"{words}; it is the only one"


def _with_prefix(value: float, unit: str, prefixes: Iterable[tuple[float, str]]) -> str:
    scale, prefix = next((p for p in prefixes if value >= p[0] * 0.9995), (1.0, ""))
    return f"{value / scale:.3g} {prefix}{unit}"


LARGE = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def size(n_bytes: float) -> str:
    """Bytes in words."""
    return _with_prefix(n_bytes, "B", LARGE)


def count(n_flops: float) -> str:
    """FLOPs in words."""
    return _with_prefix(n_flops, "FLOP", LARGE)


def duration(time: float) -> str:
    """Seconds in words."""
    if time >= 3600:
        return f"{time / 3600:.3g} h"
    return _with_prefix(time, "s", ((1.0, ""), (1e-3, "m"), (1e-6, "µ")))


def describe(params: Params, rows: "tuple[Row, ...]" = ()) -> str:
    """The recommendation and its reasons, in words."""
    choice = compute(params, rows)
    task = f"{params.phase}, {params.N:,} tokens, {params.shape}, {params.limit} per layer, to recall: {params.recall}"
    here = f"Best here: {names()[choice.best]}" if choice.costs[choice.best].fits else "Nothing here does what is asked"
    return f"{here}. ({task[0].upper()}{task[1:]}.) {'. '.join(choice.reasons)}."


class ChooserScene(Scene):
    """For every mixer three dots with their numbers: FLOPs, seconds if measured, and memory with its limit."""

    @styled
    def __init__(self) -> None:
        super().__init__((7.4, 4.3))
        self.rows: tuple[Row, ...] = ()
        self.panels = self.subplots(1, 3, sharey=True)
        places = np.arange(len(names()))
        self.panels[0].set_yticks(places, list(names().values()))
        self.panels[0].set_ylim(len(places) - 0.4, -0.6)
        _axis(self.panels[0], "FLOPs of the mixing", (1e3, 1e16), {1e4: "10 k", 1e8: "100 M", 1e12: "1 T"})
        _axis(self.panels[1], "seconds of the mixing", (1e-6, 1e5), {1e-5: "10 µs", 1e-2: "10 ms", 1e1: "10 s"})
        _axis(self.panels[2], "memory of one layer", (1e3, 1e11), {1e4: "10 kB", 1e7: "10 MB", 1e10: "10 GB"})
        [self.limit] = self.moves([self.panels[2].axvline(1, color="black", linestyle="--", linewidth=1.2)])
        self.dots = [self.moves(ax.plot([], [], "o", markersize=7)[0] for _ in places) for ax in self.panels]
        self.numbers = [self.moves(ax.annotate("", (1, i), (0, 0), **_BESIDE) for i in places) for ax in self.panels]
        middle = self.panels[1].transAxes
        [self.untimed] = self.moves([self.panels[1].text(0.5, 0.5, "not measured", ha="center", transform=middle)])
        for ax in self.panels:
            ax.hlines(places, *ax.get_xlim(), color="#DDDDDD", linewidth=0.6, zorder=0)
        handles = [Line2D([], [], **look, linestyle="", markersize=7, label=name) for name, look in LOOKS.items()]
        self.legend(handles=handles, loc="outside lower center", ncols=4, columnspacing=1.2)
        self.follow(Params())

    def follow(self, params: Params) -> None:
        choice = compute(params, self.rows)
        here = names()[choice.best] if choice.costs[choice.best].fits else "nothing that fits recalls enough"
        data = "an image" if params.shape == "2-D" else "a text"
        self.headline.set_text(f"{params.phase.capitalize()}, {params.N:,} tokens of {data}: {here}")
        self.limit.set_xdata([LIMITS[params.limit]] * 2)
        self.untimed.set_visible(not any(cost.seconds for cost in choice.costs.values()))
        for i, (mixer, cost) in enumerate(choice.costs.items()):
            look = (
                "recalls too little"
                if not cost.recalls
                else "does not fit"
                if not cost.fits
                else "recommended"
                if mixer == choice.best
                else "fits and recalls enough"
            )
            amounts = (cost.flops, cost.seconds, cost.memory)
            for ax, dots, numbers, amount, words in zip(
                self.panels, self.dots, self.numbers, amounts, (count, duration, size), strict=True
            ):
                dots[i].set(data=([amount or np.nan], [i]), **LOOKS[look])
                right = (amount or 0) > np.sqrt(np.prod(ax.get_xlim()))  # of the middle: the number goes to its left
                numbers[i].set(text=words(amount) if amount else "", ha="right" if right else "left")
                numbers[i].xy = (amount or 1, i)
                numbers[i].set_position((-7 if right else 7, 0))


_BESIDE: Any = {
    "textcoords": "offset points",
    "va": "center",
    "fontsize": 9,
    "annotation_clip": False,
    "bbox": {"fc": "white", "ec": "none", "pad": 0.5},
}
LOOKS: dict[str, Any] = {
    "recommended": {"color": STATE, "marker": "D"},
    "fits and recalls enough": {"color": OFF_DIAGONAL, "marker": "o"},
    "recalls too little": {"color": "#AAAAAA", "marker": "o"},
    "does not fit": {"color": NEUTRAL, "marker": "X"},
}


def _axis(ax: Axes, name: str, limits: tuple[float, float], ticks: dict[float, str]) -> None:
    ax.set(xscale="log", xlim=limits, xlabel=name)
    ax.set_xticks(list(ticks), list(ticks.values()))
    ax.minorticks_off()
    ax.tick_params(axis="y", length=0)


class ArchitectureChooser(DrawnExplorer):
    """Describe a task, and see what each mixer costs, which one to take, and why.

    With `rows`, measurements of `lecture17.bench` on this machine, seconds decide instead of FLOPs.
    """

    start = Params()
    scene_type = ChooserScene
    controls_for = staticmethod(controls)
    describe = staticmethod(describe)

    def __init__(self, rows: "Iterable[Row]" = (), **settings: Any) -> None:
        super().__init__(**settings)
        self.scene.rows = tuple(rows)
        self._redraw()

    def say(self, params: Params) -> str:
        return describe(params, self.scene.rows)
