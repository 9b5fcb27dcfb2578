"""The catalogue of mixers, a row for each: what the benchmark, costs, explorers, models and tests know of it.

`MIXERS["ssd"]` is a `Mixer`. Adding a mixer takes its own files and a row here. Nothing is loaded with the catalogue:
functions and layers are known by name and found when asked for. FLOPs follow the convention of `formulas`.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from pkgutil import resolve_name
from typing import Any

import numpy as np

from .formulas import Formula, Work, chunkwise, inverse, parallel, recurrent
from .inputs import STEPS, Argument
from .rows import CHUNK, FORMS, HEADS, D, Member, Mixer

__all__ = ["CHUNK", "FORMS", "HEADS", "MIXERS", "D", "Member", "Mixer", "get", "recurrences", "with_kernels"]


def get(name: str) -> Mixer:
    """The row of a mixer. Raises ValueError for a name that is not in the catalogue."""
    if name not in MIXERS:
        raise ValueError(f"mixer is {name!r}: expected one of {', '.join(MIXERS)}")
    return MIXERS[name]


def recurrences() -> dict[str, Mixer]:
    """The mixers that have a recurrent form: all but softmax attention."""
    return {name: row for name, row in MIXERS.items() if "recurrent" in row.flops}


def with_kernels() -> tuple[str, ...]:
    """The mixers that have Triton kernels."""
    return tuple(name for name, row in MIXERS.items() if row.kernels)


def _later(name: str, n_arguments: int = 3) -> Callable[..., Any]:
    """A function by its name, found when it is called, with the first of its arguments."""
    return lambda *args: resolve_name(name)(*args[:n_arguments])


def _normalized(formula: Formula) -> Formula:
    """The formula with the normalizer as one value more. Gates scale the values, and y is divided."""
    return lambda s: formula(replace(s, d_v=s.d_v + 1)) + Work(0, s.N * (2 * s.d_v + 1))


_RECURRENCE: dict[str, Formula] = {"parallel": parallel, "recurrent": recurrent, "chunkwise": chunkwise}
_DELTA_RULE: dict[str, Formula] = {
    # what is stored under k is read and replaced: a second read, in the scores a triangular solve
    "parallel": lambda s: parallel(s) + Work(s.N**2 * (3 * s.d_k + s.d_v), 2 * s.N**2),
    "recurrent": lambda s: recurrent(s) + Work(2 * s.N * s.state, 2 * s.N * s.d_v),
    "chunkwise": lambda s: Work(
        s.N * s.c * (6 * s.d_k + 4 * s.d_v) + 6 * s.N * s.state + inverse(s),
        s.N * (2 * s.c + s.state / s.c + 5 * s.d_k + s.d_v),
    ),
}
_UNIT_KEY = Argument("unit key", "N d_k")
_QKV = {"Q": Argument("query", "N d_k"), "K": Argument("key", "N d_k"), "V": Argument("value", "N d_v")}
_BC = {"B": Argument("key", "N d_k", shared=True), "C": Argument("query", "N d_k", shared=True)}
_TURNED_BC = {"B": Argument("key", "N 2*pairs", shared=True), "C": Argument("query", "N 2*pairs", shared=True)}


_ROWS = (
    Mixer(
        "softmax",
        "softmax attention",
        "00_quickstart",
        _QKV,
        {  # scores, then subtract the largest, sum, divide, and times the values
            "parallel": lambda s: Work(s.N**2 * (2 * s.d_k + 2 * s.d_v), 3 * s.N**2),
            "step": lambda s: Work(s.N * (2 * s.d_k + 2 * s.d_v), 3 * s.N),
        },
        {"A": "lecture17.layers:Attention"},
        carried=lambda N, d_k, d_v: N * (d_k + d_v),
        formula="M = softmax(Q Kᵀ)",
        members={"softmax attention": None},
        functions={
            "parallel": _later("lecture17.experiments.measure:attention"),
            "matrix": _later("lecture17.reference.attention:softmax_matrix", 2),
        },
    ),
    Mixer(
        "linear_attention",
        "linear attention",
        "00_quickstart",
        _QKV,
        {  # no decay, no mask but a triangle
            "parallel": lambda s: Work(parallel(s).products),
            "recurrent": lambda s: Work(2 * s.N * s.state, 2 * s.N * s.state),
            "chunkwise": lambda s: Work(chunkwise(s).products, s.N * s.state / s.c),
        },
        formula="M = L ∘ Q Kᵀ",
        members={"linear attention": Member(lambda step, t, q: step(q, t.key, t.zero, False, t.eye))},
    ),
    Mixer(
        "retention",
        "RetNet",
        "03c_family",
        _QKV | {"gamma": Argument("decay", "")},
        _RECURRENCE,
        {"N": "lecture17.layers:Retention"},
        formula="M = L ∘ Q Kᵀ",
        members={"RetNet": Member(lambda step, t, q: step(q, t.key, t.zero, 31 / 32, t.eye))},
    ),
    Mixer(
        "ssd",
        "Mamba-2",
        "03b_duality",
        {"x": Argument("value", "N d_v"), "log_a": Argument("log decay", "N")} | _BC,
        _RECURRENCE,
        {"M": "lecture17.layers:Mamba2"},
        formula="M = L ∘ C Bᵀ",
        scores="C Bᵀ",
        members={"Mamba-2": Member(lambda step, t, q: step(t.zero, t.log_a, t.key, q, t.eye))},
        kernels=True,
    ),
    Mixer(
        "gla",
        "GLA",
        "03c_family",
        _QKV | {"log_alpha": Argument("log decay", "N d_k")},
        {  # a decay for each key: scores of halves, quarters, … (`parallel`), or relative to the token in the middle
            "parallel": lambda s: Work(s.N**2 * (s.d_k + 2 * s.d_v), s.N * s.d_k * (math.log2(s.N) + 3)),
            "recurrent": recurrent,
            "chunkwise": lambda s: Work(
                s.N * s.c * (4 * s.d_k + 2 * s.d_v) + 4 * s.N * s.state,
                s.N * (2 * s.state / s.c + 4 * s.d_k),
            ),
        },
        {"G": "lecture17.layers:GLA"},
        formula="M = sum of L ∘ q kᵀ",
        members={"GLA": Member(lambda step, t, q: step(q, t.key, t.zero, t.log_alpha, t.eye))},
        longest=32,
        masks=lambda s: s.d_k,
        kernels=True,
    ),
    Mixer(
        "delta_rule",
        "gated delta rule",
        "03c_memory",
        _QKV | {"K": _UNIT_KEY, "beta": Argument("strength", "N"), "log_a": Argument("log decay", "N")},
        _DELTA_RULE,
        {"D": "lecture17.layers:DeltaNet", "E": "lecture17.layers:GatedDeltaNet"},
        formula="M = (L ∘ Q Kᵀ) T",
        members={
            "DeltaNet, β < 1": Member(lambda step, t, q: step(q, t.key, t.zero, t.rate, None, t.eye), D**2),
            "DeltaNet, β < 2": Member(lambda step, t, q: step(q, t.key, t.zero, 2 * t.rate, None, t.eye), D**2),
            "gated DeltaNet, β < 2": Member(lambda step, t, q: step(q, t.key, t.zero, 2 * t.rate, t.log_a, t.eye)),
        },
        longest=32,
    ),
    Mixer(
        "rwkv7",
        "RWKV-7",
        "01_tour",
        {
            "r": Argument("query", "N d_k"),
            "log_w": Argument("log decay", "N d_k", most=0.5),
            "k": Argument("key", "N d_k"),
            "v": Argument("value", "N d_v"),
            "kappa": _UNIT_KEY,
            "a": Argument("share", "N d_k"),
        },
        {  # the removal reads and writes by vectors of its own: three more kinds of scores, and the solve
            "parallel": lambda s: Work(s.N**2 * (5 * s.d_k + 7 * s.d_v), 2 * s.N * s.d_k * (math.log2(s.N) + 3)),
            "recurrent": lambda s: recurrent(s) + Work(2 * s.N * s.state, s.N * (2 * s.state + s.d_k)),
            "chunkwise": lambda s: Work(
                s.N * s.c * (10 * s.d_k + 8 * s.d_v) + 8 * s.N * s.state + inverse(s),
                s.N * (4 * s.c + 2 * s.state / s.c + 7 * s.d_k),
            ),
        },
        {"R": "lecture17.layers:RWKV7"},
        formula="M = writes − removals",
        scores="R Kᵀ",
        members={"RWKV-7": Member(lambda step, t, q: step(q, t.log_w, t.key, t.zero, t.key, t.gate + t.zero, t.eye))},
        longest=32,
        kernels=True,
    ),
    Mixer(
        "mamba3",
        "Mamba-3",
        "03c_memory",
        {
            "x": Argument("value", "N d_v"),
            "delta": Argument("step", "N"),
            "lam": Argument("share", "N"),
            "log_a": Argument("log decay", "N"),
            "theta": Argument("angle", "N pairs"),
        }
        | _TURNED_BC,
        {  # the token before is written with this one, in one SSD a token late; B and C are rotated
            "parallel": lambda s: parallel(s) + Work(0, s.N * (8 * s.d_k + 3 * s.d_v)),
            "recurrent": lambda s: recurrent(s) + Work(0, s.N * (2 * s.state + 6 * s.d_k)),
            "chunkwise": lambda s: chunkwise(s) + Work(0, s.N * (8 * s.d_k + 3 * s.d_v)),
        },
        {"T": "lecture17.layers:Mamba3"},
        carried=lambda N, d_k, d_v: d_k * d_v + d_k // 2 + d_k + d_v,
        formula="M = two terms L ∘ C Bᵀ",
        scores="rotated C Bᵀ",
        members={"Mamba-3": Member(lambda step, t, q: step(t.zero, 1.0, 1.0, t.log_a, t.angles, t.key, q, t.turned))},
    ),
    Mixer(
        "selective_scan",
        "Mamba-1",
        "03c_family",
        {
            "x": Argument("value", "N d_v"),
            "delta": Argument("step", "N d_v"),
            "A": Argument("rates", "d_v d_k"),
            "B": Argument("key", "N d_k"),
            "C": Argument("query", "N d_k"),
        },
        {  # d_v channels, each with d_k states and a decay for each; its scan passes over them three times
            "parallel": lambda s: Work(s.N**2 * s.d_v * (2 * s.d_k + 2), s.N**2 * s.state),
            "recurrent": lambda s: Work(2 * s.N * s.state, s.N * (4 * s.state + s.d_v)),
            "chunkwise": lambda s: Work(2 * s.N * s.state, s.N * (7 * s.state + s.d_v)),
        },
        {"S": "lecture17.layers:Mamba"},
        members={"Mamba-1": Member(lambda step, t, q: step(t.zero, t.gates, -16 * t.eye - 1, t.key, q, t.eye))},
        d_k=16,
        masks=lambda s: s.state,
    ),
    Mixer(
        "wkv4",
        "RWKV-4",
        "03c_memory",
        {
            "w": Argument("log decay", "d_v", most=1.0),
            "u": Argument("bonus", "d_v"),
            "k": Argument("log weight", "N d_v"),
            "v": Argument("value", "N d_v"),
        },
        {  # d_v channels, each a fading mean
            "parallel": lambda s: Work(4 * s.N**2 * s.d_v),
            "recurrent": lambda s: Work(0, 14 * s.N * s.d_v),
        },
        carried=lambda N, d_k, d_v: 3 * d_v,
        members={"RWKV-4": Member(lambda step, t, q: (q * t.fixed,))},
        masks=lambda s: s.d_v,
    ),
    Mixer(
        "kda",
        "KDA",
        "03e_family_since",
        _QKV | {"K": _UNIT_KEY, "log_alpha": Argument("log decay", "N d_k"), "beta": Argument("strength", "N")},
        _DELTA_RULE
        | {  # GLA's scores, of keys with keys as well as of queries, and the delta rule's solve
            "parallel": lambda s: Work(
                s.N**2 * (3 * s.d_k + 3 * s.d_v), s.N * s.d_k * (1.5 * math.log2(s.N) + 4) + s.N * s.d_v
            ),
        },
        {"K": "lecture17.layers:KDA"},
        formula="M = (sum of L ∘ q kᵀ) T",
        members={"KDA": Member(lambda step, t, q: step(q, t.key, t.zero, t.log_alpha, t.rate, t.eye))},
        longest=32,
        masks=lambda s: s.d_k,
    ),
    Mixer(
        "delta_product",
        "DeltaProduct",
        "03e_family_since",
        {
            "Q": Argument("query", "N d_k"),
            "K": Argument("unit key", "N n_h d_k"),
            "V": Argument("value", "N n_h d_v"),
            "beta": Argument("strength", "N n_h"),
            "log_a": Argument("log decay", "N"),
        },
        {  # the delta rule on n = 2 steps a token; the recurrent form decays and reads once a token, chunks read once
            "parallel": lambda s: _DELTA_RULE["parallel"](replace(s, N=STEPS * s.N)),
            "recurrent": lambda s: Work(
                s.N * (2 + 2 * STEPS) * s.state, s.N * ((1 + 2 * STEPS) * s.state + 2 * STEPS * s.d_v)
            ),
            "chunkwise": lambda s: Work(
                s.N * s.c * (20 * s.d_k + 12 * s.d_v)
                + 10 * s.N * s.state
                + inverse(replace(s, N=STEPS * s.N, c=STEPS * s.c)),
                s.N * (6 * s.c + s.state / s.c + 9 * s.d_k + 2 * s.d_v),
            ),
        },
        {"P": "lecture17.layers:DeltaProduct"},
        formula="M = (L ∘ Q Kᵀ) T, last steps",
        members={
            "gated DeltaProduct, β < 2": Member(
                lambda step, t, q: step(
                    q,
                    np.array([t.key, t.key[::-1]]),
                    np.array([t.zero, t.zero]),
                    2 * np.array([t.rate, t.turn]),
                    t.log_a,
                    t.eye,
                )
            ),
        },
        longest=16,
        masks=lambda s: STEPS**2,
    ),
    Mixer(
        "mlstm",
        "mLSTM",
        "03e_family_since",
        _QKV | {"log_i": Argument("log gate", "N"), "log_f": Argument("log decay", "N")},
        {form: _normalized(formula) for form, formula in _RECURRENCE.items()},
        {"X": "lecture17.layers:MLSTM"},
        carried=lambda N, d_k, d_v: d_k * (d_v + 1) + 1,
        formula="M = L ∘ Q Kᵀ, normalized",
        members={
            "mLSTM": Member(
                lambda step, t, q: step(q, t.key, t.zero, -math.inf, t.log_a, (t.eye, t.zero, np.zeros(())))
            )
        },
    ),
    Mixer(
        "log_linear",
        "log-linear attention",
        "03e_family_since",
        _QKV | {"log_a": Argument("log decay", "N"), "lam": Argument("level weight", "N levels")},
        {  # half of log₂ N buckets are there at a token: each is read, and decays by a weight
            "parallel": lambda s: parallel(s) + Work(0, s.N**2),
            "recurrent": lambda s: Work(
                s.N * s.state * math.log2(s.N), s.N * (2 * s.state + s.d_k * (2 + math.log2(s.N) / 2) + 2 * s.d_v)
            ),
            "step": lambda s: Work(2 * s.state * math.log2(s.N), s.state * (2 + math.log2(s.N))),
            "chunkwise": lambda s: Work(
                s.N * s.c * (2 * s.d_k + 2 * s.d_v) + s.N * s.state * (2 + math.log2(s.N / s.c)),
                s.N * (2 * s.c + 3 * s.state / s.c + s.d_k * (1 + math.log2(s.N / s.c) / 2)),
            ),
        },
        {"L": "lecture17.layers:LogLinearMamba2"},
        carried=lambda N, d_k, d_v: N.bit_length() * d_k * d_v,
        formula="M = Λ ∘ L ∘ Q Kᵀ",
        members={
            "log-linear attention": Member(
                lambda step, t, q: step(q, t.key, t.zero, t.log_a, np.ones(2), (t.eye[None], 1))
            )
        },
        masks=lambda s: 2,
    ),
    Mixer(
        "mesa",
        "Mesa",
        "03e_family_since",
        _QKV
        | {
            "log_a": Argument("log decay", "N"),
            "beta": Argument("weight", "N"),
            "lam": Argument("ridge", "d_k"),
        },
        {  # two states, and a system of d_k equations at every token
            "recurrent": lambda s: (
                recurrent(s) + Work(s.N * (2 * s.d_k**3 / 3 + 2 * s.d_k**2), s.N * (3 * s.d_k**2 + 2 * s.d_k))
            ),
        },
        carried=lambda N, d_k, d_v: d_k * (d_k + d_v),
        formula="M = (L ∘ Q* Kᵀ) diag(β)",
        members={
            "Mesa": Member(lambda step, t, q: step(q, t.key, t.zero, t.log_a, 0.0, t.zero + 1, (0 * t.eye, t.eye)))
        },
    ),
)
MIXERS = {row.name: row for row in _ROWS}
