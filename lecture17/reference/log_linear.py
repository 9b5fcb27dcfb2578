"""Log-linear attention: O(log N) states, one for each of ever longer stretches of the past. For 03e_family_since.

Token i (from 0) reads itself at level 0 and, for every bit ℓ - 1 of i that is 1, at level ℓ the bucket of 2^{ℓ-1}
tokens that ends just before i - (i mod 2^{ℓ-1}). So token j is read at level ℓ(i, j), the number of bits of i xor j:
the recent past in small buckets, the remote past in large ones, as in a Fenwick tree.

    y_i = Σ_ℓ λ_i^ℓ q_i S_i^{(ℓ)},    S_i^{(ℓ)} = Σ_j e^{log_a_{j+1} + … + log_a_i} k_j v_jᵀ  over the bucket's j
    y = M V  with  M = Λ ∘ L ∘ (Q Kᵀ),  Λ[i, j] = λ_i^{ℓ(i, j)},  L the decay mask of SSD

With λ = 1 this is SSD. Source: Guo et al., arXiv 2506.04761, Section 3. Arguments of all functions:

    Q, K: (N, d_k)      queries and keys
    V: (N, d_v)         values; y has the same shape
    log_a: (N,)         log of each token's decay, at most 0; -inf forgets everything before the token
    lam: (N, levels)    how much each token reads at each level; levels is at least ⌈log₂ n⌉ + 1 for n tokens in all
    state               opaque: pass on what was returned, None at the start

After t tokens there is one bucket of 2^b tokens for each bit b of t that is 1. The state is (S, t), with S of shape
(buckets, d_k, d_v), small buckets first.

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; too few levels, a
positive or NaN log_a, a number that is not finite, a state with more or fewer buckets than its t has, or chunk_size < 1
raises ValueError naming the argument.
"""

import numpy as np
from jaxtyping import Float

from . import ssd
from ._chunks import decay_from_start, decay_to_end, over_chunks
from .validation import FINITE, checked_with, shapes_checked

Keys = Float[np.ndarray, "N d_k"]
Values = Float[np.ndarray, "N d_v"]
LogDecay = Float[np.ndarray, " N"]
Levels = Float[np.ndarray, "N levels"]
State = tuple[Float[np.ndarray, "_buckets d_k d_v"], int]

checked = checked_with(lam=FINITE)


def buckets(t: int) -> list[range]:
    """The tokens of each bucket after t tokens, small buckets first: one of 2^b tokens for each bit b of t."""
    ends = [t >> b << b for b in range(t.bit_length()) if t >> b & 1]
    return [range(end - (end & -end), end) for end in ends]


def level(i: np.ndarray, j: np.ndarray | int) -> np.ndarray:
    """The level at which token i reads token j ≤ i: the number of bits of i xor j."""
    exponents: np.ndarray = np.frexp(i ^ j)[1]  # x = m 2^e with m in [1/2, 1), so e is the number of bits of x
    return exponents


def check_levels(levels: int, n: int) -> None:
    """Raise ValueError unless there are levels for n tokens."""
    needed = max(n - 1, 0).bit_length() + 1
    if n and levels < needed:
        raise ValueError(f"lam has {levels} levels for {n} tokens in all: expected at least ⌈log₂ {n}⌉ + 1 = {needed}")


def check_buckets(count: int, t: int) -> None:
    """Raise ValueError unless a state after t tokens has so many buckets."""
    if t < 0 or count != t.bit_count():
        raise ValueError(f"state has {count} buckets after {t} tokens: expected one for each bit of {t} that is 1")


def _start(K: np.ndarray, V: np.ndarray, lam: np.ndarray, state: State | None) -> State:
    """The state (S, t), once there are enough levels."""
    S, t = (np.zeros((0, K.shape[1], V.shape[1])), 0) if state is None else state
    check_buckets(len(S), t)
    check_levels(lam.shape[1], t + len(V))
    return S, t


def _scores(Q: np.ndarray, K: np.ndarray, V: np.ndarray, log_a: np.ndarray, lam: np.ndarray, t: int) -> np.ndarray:
    """The matrix of the tokens that follow the first t."""
    i = t + np.arange(len(V))
    return np.take_along_axis(lam, level(i[:, None], i), axis=1) * ssd.matrix(V, log_a, K, Q)


@checked
def matrix(Q: Keys, K: Keys, V: Values, log_a: LogDecay, lam: Levels) -> Float[np.ndarray, "N N"]:
    """The matrix M = Λ ∘ L ∘ (Q Kᵀ) with y = M V; of V only the length matters.

    M is not semiseparable: a block below the diagonal may pass through a state for each level. Its blocks of 2^b tokens
    by 2^b, cut at multiples of 2^b, have rank at most d_k. Source: arXiv 2506.04761, Section 3.
    """
    _start(K, V, lam, None)
    return _scores(Q, K, V, log_a, lam, 0)


@checked
def parallel(
    Q: Keys, K: Keys, V: Values, log_a: LogDecay, lam: Levels, state: State | None = None
) -> tuple[Values, State]:
    """The attention view, O(N²): the masked matrix, and what the state's buckets add.

    Each bucket is read at one level by all that token i is not in it, so its first token tells which. At the end, each
    new bucket takes in the old ones and the new tokens that lie in it.
    """
    S, t = _start(K, V, lam, state)
    old, i = buckets(t), t + np.arange(len(V))
    from_start, written = decay_from_start(log_a), decay_to_end(log_a)[:, None] * K
    y = _scores(Q, K, V, log_a, lam, t) @ V
    for bucket, S_b in zip(old, S, strict=True):
        weight = from_start * np.take_along_axis(lam, level(i, bucket.start)[:, None], axis=1)[:, 0]
        y = y + weight[:, None] * (Q @ S_b)
    after = []
    for bucket in buckets(t + len(V)):
        new = slice(max(bucket.start - t, 0), max(bucket.stop - t, 0))
        held = sum((S_b for b, S_b in zip(old, S, strict=True) if b.start in bucket), np.zeros(S.shape[1:]))
        after.append(np.exp(log_a.sum()) * held + written[new].T @ V[new])
    return y, (np.array(after).reshape(-1, *S.shape[1:]), t + len(V))


@checked
def recurrent(
    Q: Keys, K: Keys, V: Values, log_a: LogDecay, lam: Levels, state: State | None = None
) -> tuple[Values, State]:
    """The SSM view, O(N log N): read every bucket at its level, then merge as a binary counter carries.

    The new token is a bucket of 1. While there is a bucket of the same size, the two become one of twice the size.
    Source: arXiv 2506.04761, Section 3.
    """
    S, t = _start(K, V, lam, state)
    by_bit = {len(bucket).bit_length() - 1: S_b for bucket, S_b in zip(buckets(t), S, strict=True)}
    y = np.empty_like(V)
    for n in range(len(V)):
        by_bit = {b: np.exp(log_a[n]) * S_b for b, S_b in by_bit.items()}
        new = np.outer(K[n], V[n])
        y[n] = lam[n, 0] * Q[n] @ new + sum(lam[n, b + 1] * Q[n] @ S_b for b, S_b in by_bit.items())
        bit = 0
        while bit in by_bit:
            new = new + by_bit.pop(bit)
            bit += 1
        by_bit[bit] = new
    return y, (np.array([by_bit[b] for b in sorted(by_bit)]).reshape(-1, *S.shape[1:]), t + len(V))


@checked
def chunkwise(
    Q: Keys, K: Keys, V: Values, log_a: LogDecay, lam: Levels, state: State | None = None, chunk_size: int = 64
) -> tuple[Values, State]:
    """Quadratic inside a chunk, a state for each level between chunks, O(N (chunk_size + log N)): `parallel` chunk by
    chunk.
    """
    return over_chunks(parallel, (Q, K, V, log_a, lam), state, chunk_size)


@shapes_checked
def step(
    q_t: Float[np.ndarray, " d_k"],
    k_t: Float[np.ndarray, " d_k"],
    v_t: Float[np.ndarray, " d_v"],
    log_a_t: Float[np.ndarray, ""] | float,
    lam_t: Float[np.ndarray, " levels"],
    state: State | None = None,
) -> tuple[Float[np.ndarray, " d_v"], State]:
    """One token of `recurrent`; returns (y_t, state)."""
    y, state = recurrent(q_t[None], k_t[None], v_t[None], np.array([log_a_t], float), lam_t[None], state)
    return y[0], state
