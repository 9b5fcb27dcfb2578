"""FLOPs and memory of every mixer in every form, from formulas: the one place where they stand.

A multiplication or an addition is one FLOP, so a product (n, m) @ (m, p) is 2nmp. Exponentials, comparisons and the
masks made from decays are left out. N tokens, keys of d_k and values of d_v numbers (for SSMs d_state and the features
of a head), chunks of c tokens; all figures are for one head of one sequence and grow linearly with both.

    parallel     all scores, masked, times the values: N² (2 d_k + 2 d_v + 1)
    recurrent    decay, write and read of a state of d_k d_v numbers at every token: 5 N d_k d_v
    chunkwise    the four steps of SSD: N [c (2 d_k + 2 d_v + 1) + 4 d_k d_v + 2 d_k d_v / c + 2 d_k + d_v]

and what a mixer does on top, said at its entry below. Checked by counting in 03b_duality; source of the forms: Dao and
Gu, arXiv 2405.21060, Section 6. Introduced in 03b_duality, used by 05a_cost.
"""

from collections.abc import Callable
from dataclasses import dataclass

FORMS = ("parallel", "recurrent", "chunkwise")


@dataclass(frozen=True)
class Size:
    """What the costs depend on: N tokens, keys of d_k and values of d_v numbers, chunks of c."""

    N: int
    d_k: int
    d_v: int
    c: int = 64

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ValueError(f"{name} is {value}: expected at least 1")

    @property
    def scores(self) -> float:
        """Numbers in all the masked scores of the chunkwise form."""
        return self.N * min(self.c, self.N)

    @property
    def state(self) -> float:
        return self.d_k * self.d_v


Formula = Callable[[Size], float]


def _parallel(s: Size) -> float:
    return s.N**2 * (2 * s.d_k + 2 * s.d_v + 1)


def _recurrent(s: Size) -> float:
    return 5 * s.N * s.state


def _chunkwise(s: Size) -> float:
    c = min(s.c, s.N)
    return s.scores * (2 * s.d_k + 2 * s.d_v + 1) + s.N * (4 * s.state + 2 * s.state / c + 2 * s.d_k + s.d_v)


def _solve(s: Size, c: int, n_rows: int) -> float:
    """Unit-triangular systems of size c, one for each c tokens, for n_rows right-hand numbers a token."""
    return s.N * c * n_rows


FLOPS: dict[str, dict[str, Formula]] = {
    "linear_attention": {
        "parallel": lambda s: s.N**2 * (2 * s.d_k + 2 * s.d_v),
        "recurrent": lambda s: 4 * s.N * s.state,
        "chunkwise": lambda s: _chunkwise(s) - s.scores - s.N * (s.state / min(s.c, s.N) + 2 * s.d_k + s.d_v),
    },
    "ssd": {"parallel": _parallel, "recurrent": _recurrent, "chunkwise": _chunkwise},
    "retention": {"parallel": _parallel, "recurrent": _recurrent, "chunkwise": _chunkwise},
    "gla": {  # a decay for each key: the mask cannot leave the sum over keys, except relative to a reference token
        "parallel": lambda s: _parallel(s) + s.N**2 * (s.d_k - 1),
        "recurrent": _recurrent,
        "chunkwise": lambda s: _chunkwise(s) + 2 * s.N * s.d_k,
    },
    "delta_rule": {  # what is stored under k is read and replaced: a second read, in the scores a triangular solve
        "parallel": lambda s: _parallel(s) + 2 * s.N**2 * s.d_k + _solve(s, s.N, s.d_v),
        "recurrent": lambda s: _recurrent(s) + s.N * (2 * s.state + 2 * s.d_v),
        "chunkwise": lambda s: (
            _chunkwise(s) + 2 * s.scores * s.d_k + _solve(s, min(s.c, s.N), s.d_k + s.d_v) + 2 * s.N * s.state
        ),
    },
    "rwkv7": {  # the removal reads and writes by vectors of its own: three more kinds of scores, and the solve
        "parallel": lambda s: _parallel(s) + 6 * s.N**2 * s.d_k + _solve(s, s.N, s.d_v) + 4 * s.N**2 * s.d_v,
        "recurrent": lambda s: _recurrent(s) + s.N * (4 * s.state + s.d_k),
        "chunkwise": lambda s: (
            _chunkwise(s)
            + s.scores * (6 * s.d_k + 4 * s.d_v)
            + _solve(s, min(s.c, s.N), s.d_k + s.d_v)
            + 4 * s.N * s.state
        ),
    },
    "mamba3": {  # two writes a token (trapezoidal rule), keys and queries rotated
        "parallel": lambda s: 2 * _parallel(s) + 6 * s.N * s.d_k,
        "recurrent": lambda s: _recurrent(s) + s.N * (2 * s.state + 6 * s.d_k),
        "chunkwise": lambda s: 2 * _chunkwise(s) + 6 * s.N * s.d_k,
    },
    "selective_scan": {  # d_v channels, each with d_k states and a decay for each; no matrix products
        "parallel": lambda s: s.N**2 * s.d_v * (3 * s.d_k + 2),
        "recurrent": lambda s: s.N * (6 * s.state + s.d_v),
        "chunkwise": lambda s: s.N * (6 * s.state + s.d_v),
    },
    "wkv4": {  # d_v channels, each a fading mean
        "parallel": lambda s: 4 * s.N**2 * s.d_v,
        "recurrent": lambda s: 14 * s.N * s.d_v,
    },
    "softmax": {  # the pairs on and below the diagonal: scores, subtract the largest, sum, divide, times the values
        "parallel": lambda s: s.N * (s.N + 1) / 2 * (2 * s.d_k + 2 * s.d_v + 3),
    },
}


def flops(mixer: str, form: str, N: int, d_k: int, d_v: int, c: int = 64) -> int:
    """FLOPs of one head of one sequence. Raises ValueError for a mixer or form there is no formula of."""
    if mixer not in FLOPS:
        raise ValueError(f"mixer is {mixer!r}: expected one of {', '.join(FLOPS)}")
    if form not in FLOPS[mixer]:
        raise ValueError(f"form is {form!r}: {mixer} has {', '.join(FLOPS[mixer])}")
    return round(FLOPS[mixer][form](Size(N, d_k, d_v, c)))


def carried(mixer: str, N: int, d_k: int, d_v: int) -> int:
    """Numbers carried from token to token when decoding, after N tokens: the state, or the KV cache."""
    if mixer not in FLOPS:
        raise ValueError(f"mixer is {mixer!r}: expected one of {', '.join(FLOPS)}")
    more = {"softmax": N * (d_k + d_v), "wkv4": 3 * d_v, "mamba3": d_k * d_v + d_k // 2 + d_k + d_v}
    return more.get(mixer, d_k * d_v)


def held(form: str, N: int, d_k: int, d_v: int, c: int = 64) -> int:
    """Numbers that exist at one time besides inputs and outputs, where all chunks are worked on together."""
    numbers = {"parallel": N * N, "recurrent": d_k * d_v, "chunkwise": N * min(c, N) + -(-N // c) * d_k * d_v}
    if form not in numbers:
        raise ValueError(f"form is {form!r}: expected one of {', '.join(FORMS)}")
    return numbers[form]
