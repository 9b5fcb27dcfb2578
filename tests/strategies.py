"""What tests of mixers share: valid arguments for each, how to cut them along time, errors relative to scale.

`MIXERS[name].draw(rng, N, d_k, d_v, decays)` returns the arguments as a dict in the order of the call, one head, tokens
as rows, float64. `decays` is one of `DECAYS`. Keys that the delta rules write with have length 1, so nothing blows up.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

Args = dict[str, Any]
DECAYS = ("mild", "mixed", "keep", "forget")


def log_decays(rng: np.random.Generator, shape: int | tuple[int, ...], decays: str) -> np.ndarray:
    """Logs of decays: "mild" in [0.5, 1], "keep" all 1, "forget" all 0, "mixed" all of these and 1e-30."""
    mild = np.log(rng.uniform(0.5, 1, shape))
    if decays == "mild":
        return mild
    if decays == "mixed":
        kind = rng.integers(0, 8, shape)
        return np.select([kind == 0, kind == 1, kind == 2], [0.0, -np.inf, np.log(1e-30)], mild)
    return np.full(shape, {"keep": 0.0, "forget": -np.inf}[decays])


def unit_rows(rng: np.random.Generator, N: int, d: int) -> np.ndarray:
    """Random directions, one a token."""
    rows = rng.normal(size=(N, d))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@dataclass(frozen=True)
class Mixer:
    """How to call a mixer: `lecture17.<room>.<module>`, and what is true of its arguments."""

    module: str
    draw: Callable[[np.random.Generator, int, int, int, str], Args]
    values: str  # the argument that the matrix multiplies
    decay: str | None = None  # the argument with log decays, if there is one
    fixed: tuple[str, ...] = ()  # arguments without a time axis
    per_channel: bool = False  # one matrix per channel of the values
    chunkwise: bool = True

    def cut(self, args: Args, start: int, stop: int) -> list[Any]:
        """The arguments of tokens start … stop-1, in the order of the call."""
        return [a if name in self.fixed else a[start:stop] for name, a in args.items()]

    def token(self, args: Args, t: int) -> list[Any]:
        """The arguments of token t for `step`, in the order of the call."""
        return [a if name in self.fixed else a[t] for name, a in args.items()]


def _queries_keys_values(rng: np.random.Generator, N: int, d_k: int, d_v: int) -> Args:
    return {"Q": rng.normal(size=(N, d_k)), "K": rng.normal(size=(N, d_k)), "V": rng.normal(size=(N, d_v))}


def _linear_attention(rng: np.random.Generator, N: int, d_k: int, d_v: int, decays: str) -> Args:
    return _queries_keys_values(rng, N, d_k, d_v)


def _linear_attention_normalized(rng: np.random.Generator, N: int, d_k: int, d_v: int, decays: str) -> Args:
    qkv = _queries_keys_values(rng, N, d_k, d_v)
    return {"Q": np.exp(qkv["Q"]), "K": np.exp(qkv["K"]), "V": qkv["V"], "normalize": True}


def _ssd(rng: np.random.Generator, N: int, d_k: int, d_v: int, decays: str) -> Args:
    return {
        "x": rng.normal(size=(N, d_v)),
        "log_a": log_decays(rng, N, decays),
        "B": rng.normal(size=(N, d_k)),
        "C": rng.normal(size=(N, d_k)),
    }


def _retention(rng: np.random.Generator, N: int, d_k: int, d_v: int, decays: str) -> Args:
    return {**_queries_keys_values(rng, N, d_k, d_v), "gamma": float(np.exp(log_decays(rng, (), decays)))}


def _gla(rng: np.random.Generator, N: int, d_k: int, d_v: int, decays: str) -> Args:
    return {**_queries_keys_values(rng, N, d_k, d_v), "log_alpha": log_decays(rng, (N, d_k), decays)}


def _delta_rule(rng: np.random.Generator, N: int, d_k: int, d_v: int, decays: str) -> Args:
    beta = rng.uniform(0, 2, N)
    return {**_queries_keys_values(rng, N, d_k, d_v), "K": unit_rows(rng, N, d_k), "beta": beta}


def _delta_rule_gated(rng: np.random.Generator, N: int, d_k: int, d_v: int, decays: str) -> Args:
    return {**_delta_rule(rng, N, d_k, d_v, decays), "log_a": log_decays(rng, N, decays)}


def _rwkv7(rng: np.random.Generator, N: int, d_k: int, d_v: int, decays: str) -> Args:
    return {
        "r": rng.normal(size=(N, d_k)),
        "log_w": log_decays(rng, (N, d_k), decays),
        "k": rng.normal(size=(N, d_k)),
        "v": rng.normal(size=(N, d_v)),
        "kappa": unit_rows(rng, N, d_k),
        "a": rng.uniform(0, 1, (N, d_k)),
    }


def _selective_scan(rng: np.random.Generator, N: int, d_k: int, d_v: int, decays: str) -> Args:
    # A is finite; its product with delta keeps everything where it is 0 and forgets everything below about -745.
    A = np.maximum(log_decays(rng, (d_v, d_k), decays), -1e4)
    return {
        "x": rng.normal(size=(N, d_v)),
        "delta": rng.uniform(0.1, 1, (N, d_v)) * (rng.random((N, d_v)) < 0.8 if decays == "mixed" else 1),
        "A": A,
        "B": rng.normal(size=(N, d_k)),
        "C": rng.normal(size=(N, d_k)),
    }


def _mamba3(rng: np.random.Generator, N: int, d_k: int, d_v: int, decays: str) -> Args:
    return {
        "x": rng.normal(size=(N, d_v)),
        "delta": rng.uniform(0.1, 1, N),
        "lam": rng.uniform(0, 1, N),
        "log_a": log_decays(rng, N, decays),
        "theta": rng.normal(size=(N, d_k)),
        "B": rng.normal(size=(N, 2 * d_k)),
        "C": rng.normal(size=(N, 2 * d_k)),
    }


def _wkv4(rng: np.random.Generator, N: int, d_k: int, d_v: int, decays: str) -> Args:
    return {
        "w": log_decays(rng, d_v, decays),
        "u": rng.normal(size=d_v),
        "k": 3 * rng.normal(size=(N, d_v)),
        "v": rng.normal(size=(N, d_v)),
    }


MIXERS = {
    "linear_attention": Mixer("linear_attention", _linear_attention, "V"),
    "linear_attention_normalized": Mixer("linear_attention", _linear_attention_normalized, "V", fixed=("normalize",)),
    "ssd": Mixer("ssd", _ssd, "x", "log_a"),
    "retention": Mixer("retention", _retention, "V", fixed=("gamma",)),
    "gla": Mixer("gla", _gla, "V", "log_alpha"),
    "delta_rule": Mixer("delta_rule", _delta_rule, "V"),
    "delta_rule_gated": Mixer("delta_rule", _delta_rule_gated, "V", "log_a"),
    "rwkv7": Mixer("rwkv7", _rwkv7, "v", "log_w"),
    "selective_scan": Mixer("selective_scan", _selective_scan, "x", fixed=("A",), per_channel=True),
    "mamba3": Mixer("mamba3", _mamba3, "x", "log_a"),
    "wkv4": Mixer("wkv4", _wkv4, "v", "w", fixed=("w", "u"), per_channel=True, chunkwise=False),
}


@dataclass(frozen=True)
class Case:
    """Arguments of one call, a chunk size, and a place to cut them in two."""

    args: Args
    chunk_size: int
    split: int
    N: int


@st.composite
def cases(draw: st.DrawFn, mixer: Mixer, max_N: int = 70) -> Case:
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
