"""WKV of RWKV-4: a decayed weighted mean with a bonus for the present token. Introduced in 01_tour and 03c_memory.

Channel by channel, with weights e^{k}:

    y_t = (Σ_{j<t} e^{(t-1-j) w + k_j} v_j + e^{u + k_t} v_t) / (Σ_{j<t} e^{(t-1-j) w + k_j} + e^{u + k_t})

Numerator and denominator are kept as e^o p and e^o q, with o the largest exponent so far, so that no k overflows.
Source: Peng et al., arXiv 2305.13048, Section 3.1 and the appendix on the numerically stable form (its w is our -w).
Arguments of all functions:

    w: (d,)         log of the decay per token, at most 0 (RWKV-4: -exp(decay)); -inf keeps only the last token
    u: (d,)         bonus of the present token
    k, v: (N, d)    log weights and values; y has the same shape
    state           (p, q, o), each (d,): numerator and denominator divided by e^o; empty if not given

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a positive or NaN
w, or a number that is not finite, raises ValueError naming the argument.
"""

import numpy as np
from jaxtyping import Float

from .semiseparable import segsum
from .validation import checked, shapes_checked

PerChannel = Float[np.ndarray, " d"]
Channels = Float[np.ndarray, "N d"]
State = tuple[PerChannel, PerChannel, PerChannel]

EMPTY = -1e38  # exponent of an empty sum: below any other, yet finite, so that differences are never inf - inf


def _start(w: np.ndarray, state: State | None) -> State:
    """The state (p, q, o)."""
    return (np.zeros_like(w), np.zeros_like(w), np.full_like(w, EMPTY)) if state is None else state


def _add(
    p: np.ndarray, q: np.ndarray, o: np.ndarray, exponent: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Add e^exponent v to e^o p and e^exponent to e^o q; returns both sums divided by e^m, m the larger exponent."""
    m = np.maximum(o, exponent)
    return np.exp(o - m) * p + np.exp(exponent - m) * v, np.exp(o - m) * q + np.exp(exponent - m), m


def _past_exponents(w: np.ndarray, k: np.ndarray, o: np.ndarray) -> np.ndarray:
    """Log weights before token i = 0 … N: i w + o in column 0, (i-1-j) w + k_j in column j+1 for j < i, else -inf."""
    exponents = np.concatenate([o[None], k]).T  # (d, N+1): the state counts as one token before the first
    decays = np.stack([segsum(np.full(len(k) + 1, w_c)) for w_c in w])  # (d, N+1, N+1)
    return decays + exponents[:, None, :]


@checked
def matrix(w: PerChannel, u: PerChannel, k: Channels, v: Channels) -> Float[np.ndarray, "d N N"]:
    """One matrix per channel, y[:, c] = M[c] v[:, c]; rows sum to 1; of v only the shape matters."""
    N = len(k)
    exponents = _past_exponents(w, k, np.full_like(w, EMPTY))[:, :N, 1:]  # (d, N, N), -inf on the diagonal and above
    exponents[:, np.arange(N), np.arange(N)] = (u + k).T
    weights = np.exp(exponents - exponents.max(axis=2, keepdims=True, initial=-np.inf))
    return weights / weights.sum(axis=2, keepdims=True)


@checked
def parallel(
    w: PerChannel, u: PerChannel, k: Channels, v: Channels, state: State | None = None
) -> tuple[Channels, State]:
    """The attention view, O(N²): the states before all tokens at once, each with its own largest exponent."""
    p, q, o = _start(w, state)
    exponents = _past_exponents(w, k, o)  # (d, N+1, N+1)
    o = exponents.max(axis=2)  # (d, N+1): column i is before token i, column N after the last
    weights = np.exp(exponents - o[:, :, None])
    values = np.stack([np.concatenate([p[None], v]), np.concatenate([q[None], np.ones_like(v)])])  # (2, N+1, d)
    p, q = np.einsum("cij,rjc->ric", weights, values)  # each (N+1, d)
    o = o.T
    numerator, denominator, _ = _add(p[:-1], q[:-1], o[:-1], u + k, v)
    return numerator / denominator, (p[-1], q[-1], o[-1])


@checked
def recurrent(
    w: PerChannel, u: PerChannel, k: Channels, v: Channels, state: State | None = None
) -> tuple[Channels, State]:
    """The SSM view, O(N), in the stable form: read with the bonus, then decay and add, each under the larger exponent.

    m = max(o, u + k_t):      y_t = (e^{o-m} p + e^{u+k_t-m} v_t) / (e^{o-m} q + e^{u+k_t-m})
    m' = max(w + o, k_t):     p = e^{w+o-m'} p + e^{k_t-m'} v_t,   q = e^{w+o-m'} q + e^{k_t-m'},   o = m'
    """
    p, q, o = _start(w, state)
    y = np.empty_like(v)
    for t in range(len(v)):
        numerator, denominator, _ = _add(p, q, o, u + k[t], v[t])
        y[t] = numerator / denominator
        p, q, o = _add(p, q, w + o, k[t], v[t])
    return y, (p, q, o)


@shapes_checked
def step(
    w: PerChannel, u: PerChannel, k_t: PerChannel, v_t: PerChannel, state: State | None = None
) -> tuple[PerChannel, State]:
    """One token of `recurrent`; returns (y_t, state)."""
    y, state = recurrent(w, u, k_t[None], v_t[None], state)
    return y[0], state
