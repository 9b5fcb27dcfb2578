"""Which layout of layers to take for a task: a short list, with reasons to look up. Introduced in 05e_choose.

`short_list(Task(...))` leaves out what does not fit into the memory, and what is known not to recall or track what the
task needs (`choosing.toml`, with sources). The first of the list is the layout with the most behind it among those that
take at most `SLACK` times as long as the fastest that is shown to do it. The others are faster or have more behind
them, and follow by what is shown. Costs are those of whole models (`sizing`) at a machine's peak rates.
"""

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from . import sizing
from .sizing import CACHES, GROUPS, SHAPES, Layers, Network

LAYOUTS: dict[str, dict[str, Any]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
SLACK = 1.5
LISTED = 3

DECODING, READING, TRAINING = USES = ("decoding", "reading", "training")
GIST, FACTS, VERBATIM = RECALLS = ("the gist", "facts by key", "any passage word for word")
TEXT, IMAGES = CONTENTS = ("text", "images")
BITS = {"16 bits": 16, "8 bits": 8, "4 bits": 4}
CACHE_BITS = ("16 bits", "8 bits")
NO, IN_PART, SHOWN = LEVELS = ("no", "in part", "shown")


@dataclass(frozen=True)
class Device:
    """A machine by its maker's peak rates: bytes and FLOPs (16 bits, dense) a second, and memory if it has its own."""

    bandwidth: float
    rate: float
    memory: float | None = None


GB = 1e9  # bytes: powers of ten, as makers of devices count
CPU = "CPU"
DEVICES = {
    "B200": Device(8e12, 2250e12, 180 * GB),
    "H100": Device(3.35e12, 989e12, 80 * GB),
    "A100": Device(2.04e12, 312e12, 80 * GB),
    "RTX 4090": Device(1.01e12, 165e12, 24 * GB),
    CPU: Device(9e10, 1e12),  # two channels of DDR5-5600, and a laptop's cores
}


@dataclass(frozen=True)
class Task:
    """What is to be done; memory in GB. Where several devices are needed for the memory, all of them work."""

    size: str = "8B"
    use: str = DECODING
    content: str = TEXT
    N: int = 131_072
    batch: int = 4
    memory: int = 80
    device: str = "H100"
    cache: str = GROUPS
    precision: str = "16 bits"
    cache_bits: str = "16 bits"
    recall: str = FACTS
    tracking: bool = False

    def __post_init__(self) -> None:
        known = {
            "size": SHAPES,
            "use": USES,
            "content": CONTENTS,
            "device": DEVICES,
            "cache": CACHES,
            "precision": BITS,
            "cache_bits": CACHE_BITS,
            "recall": RECALLS,
        }
        for name, options in known.items():
            if getattr(self, name) not in options:
                raise ValueError(f"{name} is {getattr(self, name)!r}: expected one of {', '.join(options)}")
        for name in ("N", "batch", "memory"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}: expected at least 1")


@dataclass(frozen=True)
class Assessment:
    """One layout for one task: bytes, seconds, whether it fits, how far it is shown to do it, and what shows that."""

    weights: float
    memory: float
    sequences: int  # that fit at most, serving
    seconds: float  # of one token for every sequence, of reading all sequences, or of a training step
    fits: bool
    level: str
    evidence: str


@dataclass(frozen=True)
class Choice:
    assessments: dict[str, Assessment]
    listed: tuple[str, ...]  # the short list
    devices: int


def layers_of(layout: str, n_layers: int) -> Layers:
    """The layers of a model with so many: at least one of a kind that the layout has."""
    shares = LAYOUTS[layout]["layers"]
    full, windowed = (
        max(1, math.floor(n_layers * shares[kind] + 0.5)) if shares.get(kind) else 0 for kind in ("full", "windowed")
    )
    if not shares.get("state"):
        windowed = n_layers - full
    return Layers(full, windowed, n_layers - full - windowed, shares.get("window", 0))


def evidence(layout: str, task: Task, parameters: float) -> tuple[str, str]:
    """How far it is shown that a layout does a task, and what shows it."""
    row = LAYOUTS[layout]
    if task.content == IMAGES:
        level, words = row["images"]
    else:
        level, words = {
            GIST: [SHOWN, "what it keeps can depend on the token (2312.00752)"],
            FACTS: row["facts"],
            VERBATIM: row["verbatim"],
        }[task.recall]
        if task.recall != GIST and level == SHOWN and row.get("up_to", task.N) < task.N:
            longer = f"{words}; longer texts are not shown"
            level, words = IN_PART, row.get("beyond", longer) if task.recall == FACTS else longer
        if task.tracking and LEVELS.index(row["tracking"][0]) <= LEVELS.index(level):
            level, words = row["tracking"]
    if parameters > 2 * GB * row["largest"]:  # billions
        level, words = min(level, IN_PART, key=LEVELS.index), f"{words}; nothing near this size is published"
    return level, words


def _machine(task: Task, cpu: Sequence[float] | None) -> tuple[int, float, float]:
    """How many devices, and the rates of all together."""
    device = DEVICES[task.device]
    if device.memory is None:
        bandwidth, rate = cpu or (device.bandwidth, device.rate)
        return 1, bandwidth, rate
    count = math.ceil(task.memory * GB / device.memory)
    return count, count * device.bandwidth, count * device.rate


def _costs(net: Network, task: Task, bandwidth: float, rate: float) -> tuple[float, float, int, float]:
    """Bytes of weights and of everything, sequences that fit, and seconds."""
    N, batch, bits, causal = task.N, task.batch, BITS[task.precision], task.content == TEXT
    if task.use == TRAINING:
        seconds = sizing.training_seconds(net, N, batch, rate, causal)
        return sizing.TRAINING_BYTES * net.parameters, sizing.training_bytes(net, N, batch), 0, seconds
    weights = net.parameters * bits / 8
    if task.content == IMAGES:  # nothing is decoded, so nothing is kept but one layer's activations
        return (
            weights,
            weights + sizing.ACTIVATION_BYTES * batch * N * net.width,
            0,
            sizing.reading_seconds(net, N, batch, bandwidth, rate, bits, causal),
        )
    cached = BITS[task.cache_bits] / 8
    return (
        weights,
        sizing.serving_bytes(net, N, batch, bits, cached),
        sizing.most_sequences(net, N, task.memory * GB, bits, cached),
        sizing.decoding_seconds(net, N, batch, bandwidth, rate, bits, cached)
        if task.use == DECODING
        else sizing.reading_seconds(net, N, batch, bandwidth, rate, bits),
    )


@lru_cache(maxsize=8)
def choose(task: Task, cpu: tuple[float, float] | None = None) -> Choice:
    """Every layout for the task, and the short list; `cpu` holds measured rates, bytes and FLOPs a second."""
    devices, bandwidth, rate = _machine(task, cpu)
    shape, found = SHAPES[task.size], {}
    for layout in LAYOUTS:
        net = sizing.network(shape, layers_of(layout, shape.layers), task.cache)
        weights, memory, sequences, seconds = _costs(net, task, bandwidth, rate)
        level, words = evidence(layout, task, net.parameters)
        fits = memory <= task.memory * GB
        found[layout] = Assessment(weights, memory, sequences, seconds, fits, level, words)
    return Choice(found, _listed(found), devices)


def _listed(found: dict[str, Assessment]) -> tuple[str, ...]:
    able = {name: a for name, a in found.items() if a.fits and a.level != NO}
    if not able:
        return ()
    order = list(LAYOUTS)
    ranked = sorted(able, key=lambda name: (-LEVELS.index(able[name].level), order.index(name)))
    best = [name for name in ranked if able[name].level == able[ranked[0]].level]
    quickest = min(able[name].seconds for name in best)
    first = next(name for name in best if able[name].seconds <= SLACK * quickest)
    # What is slower than the first, and has less behind it, has nothing to offer, unless the first is not shown either.
    others = [
        name
        for name in ranked
        if name != first
        and (
            order.index(name) < order.index(first)
            or able[name].seconds < able[first].seconds
            or able[first].level != SHOWN
        )
    ]
    return (first, *others)[:LISTED]


def short_list(task: Task) -> list[str]:
    """The layouts to try, the first one first; empty if nothing fits that can do the task."""
    return [LAYOUTS[name]["title"] for name in choose(task).listed]
