"""What tests of mixers share: valid arguments for each, how to cut them along time, errors relative to scale.

`VARIANTS[name].draw(rng, N, d_k, d_v, decays)` returns the arguments as a dict in the order of the call, one head,
tokens as rows, float64. `decays` is one of `DECAYS`. Keys that the delta rules write with have length 1, so that
nothing blows up.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from hypothesis import strategies as st

from lecture17.inputs import Batch
from lecture17.mixers import Mixer, recurrences

Args = dict[str, Any]
DECAYS = ("mild", "mixed", "keep", "forget")


def unit_rows(rng: np.random.Generator, N: int, d: int) -> np.ndarray:
    """Random directions, one a token."""
    rows = rng.normal(size=(N, d))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@dataclass(frozen=True)
class Variant:
    """A mixer as tests call it: `change` makes the arguments of a call from those that its row draws."""

    row: Mixer
    change: Callable[[Args], Args] = lambda args: args

    def draw(
        self, rng: np.random.Generator, N: int, d_k: int, d_v: int, decays: str, batch: Batch | None = None
    ) -> Args:
        return self.change(self.row.draw(rng, N, d_k, d_v, decays, batch))

    @cached_property
    def names(self) -> list[str]:
        """Of the arguments, in the order of the call."""
        return list(self.draw(np.random.default_rng(), 1, 1, 1, "keep"))

    def _of_kind(self, kind: str) -> str | None:
        return next((name for name, a in self.row.arguments.items() if a.kind == kind and name in self.names), None)

    @property
    def reference(self) -> Any:
        return self.row.module("reference")

    @property
    def values(self) -> str:
        """The argument that the matrix multiplies."""
        return str(self._of_kind("value"))

    @property
    def decay(self) -> str | None:
        """The argument with log decays, if there is one."""
        return self._of_kind("log decay")

    @property
    def fixed(self) -> tuple[str, ...]:
        """Arguments without a time axis."""
        arguments = self.row.arguments
        return tuple(name for name in self.names if name not in arguments or not arguments[name].per_token)

    @property
    def chunkwise(self) -> bool:
        return "chunkwise" in self.row.forms

    def cut(self, args: Args, start: int, stop: int) -> list[Any]:
        """The arguments of tokens start … stop-1, in the order of the call."""
        return [a if name in self.fixed else a[start:stop] for name, a in args.items()]

    def token(self, args: Args, t: int) -> list[Any]:
        """The arguments of token t for `step`, in the order of the call."""
        return [a if name in self.fixed else a[t] for name, a in args.items()]


def _normalized(args: Args) -> Args:
    return {"Q": np.exp(args["Q"]), "K": np.exp(args["K"]), "V": args["V"], "normalize": True}


def _ungated(args: Args) -> Args:
    return {name: a for name, a in args.items() if name != "log_a"}


def variants() -> dict[str, Variant]:
    """Every mixer with a recurrence, and those that have an option once more with it."""
    drawn = {name: Variant(row) for name, row in recurrences().items()}
    return drawn | {
        "linear_attention_normalized": Variant(drawn["linear_attention"].row, _normalized),
        "delta_rule": Variant(drawn["delta_rule"].row, _ungated),
        "delta_rule_gated": drawn["delta_rule"],
        "delta_product": Variant(drawn["delta_product"].row, _ungated),
        "delta_product_gated": drawn["delta_product"],
    }


VARIANTS = variants()


@dataclass(frozen=True)
class Case:
    """Arguments of one call, a chunk size, and a place to cut them in two."""

    args: Args
    chunk_size: int
    split: int
    N: int


@st.composite
def cases(draw: st.DrawFn, mixer: Variant, max_N: int = 70) -> Case:
    """Hypothesis chooses lengths (0 too), unequal sizes, decays, chunk size and cut; the numbers come from a seed."""
    N = draw(st.integers(0, max_N))
    d_k, d_v = draw(st.sampled_from([(1, 3), (2, 1), (3, 2), (4, 5)]))
    decays = draw(st.sampled_from(DECAYS))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    args = mixer.draw(rng, N, d_k, d_v, decays)
    return Case(args, draw(st.integers(1, max_N + 10)), draw(st.integers(0, N)), N)


def relative_error(got: Any, want: Any) -> float:
    """Largest difference divided by the largest size of `want`; for tuples (of states) the largest over the parts."""
    if isinstance(want, tuple):
        assert isinstance(got, tuple)
        return max(relative_error(g, w) for g, w in zip(got, want, strict=True))
    assert got.shape == want.shape, f"shape {got.shape} instead of {want.shape}"
    scale = float(abs(want).max(initial=0))
    return float(abs(got - want).max(initial=0)) / (scale or 1.0)
