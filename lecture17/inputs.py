"""Arguments of mixers, drawn at random: the kind of an argument decides its numbers, its axes decide its shape.

Argument("key", "N d_k")     one key a token: (N, d_k) for `reference`, (batch, N, heads, d_k) for `ops`

`decays` says how strong decays are: "trained" as a trained model might have them, "mild" in [0.5, 1], "keep" all 1,
"forget" all 0, "mixed" all of these and 1e-30.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Rng = np.random.Generator
Shape = tuple[int, ...]


STEPS = 2  # of DeltaProduct, for each token


class Batch(NamedTuple):
    """How many sequences, heads of each, and groups of heads that share what is `grouped`."""

    sequences: int = 1
    heads: int = 1
    groups: int = 1


@dataclass(frozen=True)
class Argument:
    """One argument of a mixer's functions.

    kind    what it is, a key of `KINDS`
    axes    those of the reference: N tokens, n_h steps of each, d_k, d_v, and pairs of keys; without N it is the same
            for all tokens
    shared  whether the heads of a group share it
    most    "trained" log decays lie between -most and 0
    """

    kind: str
    axes: str
    shared: bool = False
    most: float = 0.1

    @property
    def per_token(self) -> bool:
        return self.axes.startswith("N")

    @property
    def before_heads(self) -> int:
        """How many of the axes stand before that of the heads in a batch: tokens, and their steps."""
        return sum(axis in ("N", "n_h") for axis in self.axes.split())

    def shape(self, sizes: Mapping[str, int], batch: Batch | None, has_heads: bool) -> Shape:
        """Of one head of one sequence, or of a batch."""
        own = tuple(sizes[axis] for axis in self.axes.split())
        if batch is None:
            return own
        per_head = ((batch.groups if self.shared else batch.heads),) if has_heads else ()
        sequences = (batch.sequences,) if self.per_token else ()
        return (*sequences, *own[: self.before_heads], *per_head, *own[self.before_heads :])


def draw(
    arguments: Mapping[str, Argument],
    rng: Rng,
    N: int,
    d_k: int,
    d_v: int,
    decays: str,
    batch: Batch | None,
    dtype: Any,
    has_heads: bool,
) -> dict[str, Any]:
    """The arguments by name, in the order of the call, as arrays or, where they have no axes, numbers."""
    pairs = -(-d_k // 2)
    sizes = {"N": N, "n_h": STEPS, "d_k": d_k, "d_v": d_v, "pairs": pairs, "2*pairs": 2 * pairs}
    return {
        name: KINDS[a.kind](_Draw(rng, a.shape(sizes, batch, has_heads), decays, dtype, a.most))
        for name, a in arguments.items()
    }


@dataclass(frozen=True)
class _Draw:
    """What an array is drawn from. No array is held twice, so that a process may measure its memory afterwards."""

    rng: Rng
    shape: Shape
    decays: str
    dtype: Any
    most: float

    @property
    def trained(self) -> bool:
        return self.decays == "trained"

    def normal(self, scale: float = 1.0) -> Any:
        x = self.rng.standard_normal(self.shape, dtype=self.dtype)
        x *= scale
        return x

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Any:
        x = self.rng.random(self.shape, dtype=self.dtype)
        x *= high - low
        x += low
        return x

    def key(self) -> Any:
        return self.normal(self.shape[-1] ** -0.5 if self.trained else 1.0)

    def unit_key(self) -> Any:
        x = self.normal()
        x /= np.sqrt(np.einsum("...d,...d->...", x, x))[..., None]
        return x

    def log_decay(self) -> Any:
        if self.trained:
            return self.uniform(-self.most, 0.0)
        return log_decays(self.rng, self.shape, self.decays).astype(self.dtype)

    def decay(self) -> Any:
        """RetNet's γ, fixed for each head."""
        if self.trained:
            return (1 - 2.0 ** (-5 - np.arange(np.prod(self.shape)))).reshape(self.shape).astype(self.dtype)
        return np.exp(self.log_decay()) if self.shape else float(np.exp(self.log_decay()))

    def step(self) -> Any:
        if self.trained:
            return self.uniform(0.0, 0.1)
        steps = self.uniform(0.1, 1.0)
        return steps * (self.rng.random(self.shape) < 0.8) if self.decays == "mixed" else steps

    def rates(self) -> Any:
        """Mamba-1's A: finite; its product with a step keeps everything where it is 0, and forgets below about -745."""
        if self.trained:
            return np.broadcast_to(-np.arange(1, self.shape[-1] + 1, dtype=self.dtype), self.shape).copy()
        return np.maximum(self.log_decay(), -1e4)


KINDS: dict[str, Callable[[_Draw], Any]] = {
    "query": _Draw.key,
    "key": _Draw.key,
    "unit key": _Draw.unit_key,
    "value": _Draw.normal,
    "log decay": _Draw.log_decay,
    "decay": _Draw.decay,
    "strength": lambda d: d.uniform(0.0, 2.0),  # β of the delta rule: 2 is a reflection
    "share": _Draw.uniform,  # between 0 and 1
    "step": _Draw.step,
    "rates": _Draw.rates,
    "angle": _Draw.normal,
    "bonus": _Draw.normal,
    "log weight": lambda d: d.normal(3.0),
}


def log_decays(rng: Rng, shape: int | Shape, decays: str) -> np.ndarray:
    """Logs of decays that are "mild", "mixed", "keep" or "forget"."""
    mild = np.log(rng.uniform(0.5, 1, shape))
    if decays == "mild":
        return mild
    if decays == "mixed":
        kind = rng.integers(0, 8, shape)
        return np.select([kind == 0, kind == 1, kind == 2], [0.0, -np.inf, np.log(1e-30)], mild)
    return np.full(shape, {"keep": 0.0, "forget": -np.inf}[decays])
