"""ArchitectureChooser: describe a task, and see which layouts of layers to try, and why. Introduced in 05e_choose.

What a layout costs is counted by `lecture17.sizing` for whole models; the short list is that of `lecture17.choosing`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from lecture17 import sizing
from lecture17.choosing import (
    BITS,
    CACHE_BITS,
    CONTENTS,
    DECODING,
    DEVICES,
    GB,
    GIST,
    IMAGES,
    LAYOUTS,
    LEVELS,
    LISTED,
    NO,
    READING,
    RECALLS,
    SHOWN,
    SLACK,
    TRAINING,
    USES,
    Choice,
    Task,
    choose,
)
from lecture17.choosing import CPU as CPU_NAME
from lecture17.figures.picture import NEUTRAL, OFF_DIAGONAL, STATE, Picture, styled
from lecture17.sizing import CACHES, SHAPES

from .explorer import Control, Explorer

CONTROLS = (
    Control("size", "parameters", "choice", tuple(SHAPES)),
    Control("use", "what for", "choice", USES),
    Control("content", "data", "choice", CONTENTS),
    Control("N", "tokens N", low=64, high=2**20, doubles=True),
    Control("batch", "sequences", low=1, high=1024, doubles=True),
    Control("memory", "memory, GB", low=1, high=2048, doubles=True),
    Control("device", "device", "choice", tuple(DEVICES)),
    Control("cache", "keys, values", "choice", CACHES),
    Control("precision", "weights", "choice", tuple(BITS)),
    Control("cache_bits", "caches", "choice", CACHE_BITS),
    Control("recall", "recall", "choice", RECALLS),
    Control("tracking", "must track a state", "check"),
)


def settle(task: Task) -> Task:
    """Training has one precision and no caches; images are not decoded, and their evidence is one for all."""
    if task.use == TRAINING:
        task = replace(task, precision="16 bits", cache_bits="16 bits")
    if task.content == IMAGES:
        use = READING if task.use == DECODING else task.use
        task = replace(task, use=use, cache_bits="16 bits", recall=GIST, tracking=False)
    return task


PER = {DECODING: "a token", READING: "to read all", TRAINING: "a step"}
UNITS = ((3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs"))


def amount(value: float) -> str:
    """Three digits, or all of those before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def duration(seconds: float) -> str:
    unit, name = next((u for u in UNITS if seconds >= u[0]), UNITS[-1])
    return f"{amount(seconds / unit)} {name}"


def _first_of(names: list[str]) -> str:
    more = f" and {len(names) - 1} more" if names[1:] else ""
    return f"{names[0]}{more}"


def _choice(task: Task, cpu: Sequence[float] | None) -> Choice:
    return choose(task, None if cpu is None else tuple(cpu))


def describe(task: Task, cpu: Sequence[float] | None = None) -> str:
    """The short list and its reasons, in words."""
    choice = _choice(task, cpu)
    found, plural = choice.assessments, "s" if task.batch > 1 else ""
    what = f"{task.batch:,} {task.content.removesuffix('s')}{plural} of {task.N:,} tokens"
    where = f"{task.memory:,} GB of {choice.devices} × {task.device}"
    parts = [f"{task.use.capitalize()}, {task.size} parameters, {what}, {where}."]
    for rank, name in enumerate(choice.listed, 1):
        a, row = found[name], LAYOUTS[name]
        per, memory = (f" {PER[task.use]}" if rank == 1 else ""), f"{amount(a.memory / GB)} GB"
        doubt = "" if a.level == SHOWN else ", shown in part"
        text = f"{rank}. {row['title']}: {duration(a.seconds)}{per}, {memory}{doubt}"
        if rank == 1:
            kernels = row["cpu" if task.device == CPU_NAME else "gpu"]
            models = ", ".join(row["models"][:2])
            text += f"; {a.evidence}. Largest: {row['published']}. Open: {models}. Kernels: {kernels}"
        parts.append(f"{text}.")
    able = [name for name in found if found[name].level != NO]
    if not choice.listed:
        if able:
            least = min(able, key=lambda name: found[name].memory)
            parts.append(
                f"Nothing that can do this fits: {LAYOUTS[least]['title']} needs least, "
                f"{amount(found[least].memory / GB)} GB."
            )
        else:
            parts.append("Evidence is against every layout here.")
    large = [f"{LAYOUTS[n]['title']} ({amount(found[n].memory / GB)} GB)" for n in able if not found[n].fits]
    if choice.listed and large:
        parts.append(f"Too large: {_first_of(large)}.")
    against = [LAYOUTS[n]["title"] for n in found if found[n].level == NO]
    if able and against:
        parts.append(f"Evidence is against {_first_of(against)}.")
    return " ".join(parts)


def headline(task: Task, cpu: Sequence[float] | None = None) -> str:
    listed = _choice(task, cpu).listed
    return f"First to try: {LAYOUTS[listed[0]]['title']}" if listed else "Nothing here fits and does that"


LOOKS: dict[str, Any] = {
    "first to try": {"color": STATE, "marker": "D"},
    "on the short list": {"color": OFF_DIAGONAL, "marker": "o"},
    "able, not listed": {"color": NEUTRAL, "marker": "o", "fillstyle": "none"},
    "too large, or evidence against it": {"color": NEUTRAL, "marker": "X"},
}


def look_of(name: str, choice: Choice) -> str:
    """Which of the four looks a layout has."""
    first, listed, able, out = LOOKS
    a = choice.assessments[name]
    if name in choice.listed:
        return first if name == choice.listed[0] else listed
    return able if a.fits and a.level != NO else out


@styled
def picture(task: Task, cpu: Sequence[float] | None = None) -> Picture:
    """Memory with its limit, and time, of every layout."""
    choice = _choice(task, cpu)
    made = Picture(headline(task, cpu), describe(task, cpu), (7.4, 3.7))
    left, right = made.subplots(1, 2, sharey=True)
    ranks = {name: f"{rank} · " for rank, name in enumerate(choice.listed, 1)}
    titles = [ranks.get(name, "") + row["title"] for name, row in LAYOUTS.items()]
    left.set_yticks(range(len(titles)), titles)
    left.set_ylim(len(titles) - 0.4, -0.6)
    memories, times = ([getattr(a, of) for a in choice.assessments.values()] for of in ("memory", "seconds"))
    _axis(left, "memory", [*memories, task.memory * GB], lambda value: f"{value / GB:g} GB")
    _axis(right, f"time {PER[task.use]}", times, lambda value: f"{value:g} s" if value >= 1 else f"{1e3 * value:g} ms")
    left.axvline(task.memory * GB, color="black", linestyle="--", linewidth=1.2)
    for row, (name, a) in enumerate(choice.assessments.items()):
        written = (left, a.memory, f"{amount(a.memory / GB)} GB"), (right, a.seconds, duration(a.seconds))
        for ax, value, words in written:
            ax.plot([value], [row], markersize=7, linestyle="", **LOOKS[look_of(name, choice)])
            ax.annotate(words, (1.02, row), xycoords=("axes fraction", "data"), va="center", fontsize=9)
    handles = [Line2D([], [], linestyle="", markersize=7, label=name, **look) for name, look in LOOKS.items()]
    handles.append(Line2D([], [], color="black", linestyle="--", linewidth=1.2, label="memory there is"))
    made.legend(handles=handles, loc="outside lower center", ncols=3, columnspacing=1.2)
    return made


def _axis(ax: Axes, name: str, values: Sequence[float], words: Callable[[float], str]) -> None:
    """Whole decades around these values."""
    first, past = math.floor(math.log10(min(values) * 0.8)), math.ceil(math.log10(max(values) * 1.25))
    ticks = [10.0**k for k in range(first, past + 1, -(-(past - first + 1) // 4))]
    ax.set(xscale="log", xlabel=name, xlim=(10.0**first, 10.0**past))
    ax.set_xticks(ticks, [words(tick) for tick in ticks])
    ax.minorticks_off()
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", color="#DDDDDD", linewidth=0.6)


class ArchitectureChooser(Explorer):
    """Describe a task, and see which layouts to try, what they cost, and what shows that they can do it.

    `rates` holds bytes and FLOPs a second that were measured on this machine, for the device "CPU". Raises ValueError
    unless both are positive.
    """

    start = Task()
    controls = CONTROLS
    settle = staticmethod(settle)
    describe = staticmethod(describe)
    picture = staticmethod(picture)
    given = {  # noqa: RUF012
        "layouts": LAYOUTS,
        "shapes": {name: asdict(shape) for name, shape in SHAPES.items()},
        "devices": {name: asdict(device) for name, device in DEVICES.items()},
        "bits": BITS,
        "levels": LEVELS,
        "slack": SLACK,
        "most": LISTED,
        "sizing": {
            name: getattr(sizing, name.upper())
            for name in (
                "state_bytes",
                "training_bytes",
                "activation_bytes",
                "latent",
                "rotary",
                "state_numbers",
                "step_flops",
                "read_flops",
            )
        },
    }

    def __init__(self, rates: Sequence[float] | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        if rates is not None:
            bandwidth, flops = map(float, rates)
            if not (bandwidth > 0 and flops > 0):
                raise ValueError(f"rates is {rates!r}: expected bytes and FLOPs a second, both positive")
            self.data = {"cpu": [bandwidth, flops]}
