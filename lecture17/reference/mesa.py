"""Mesa: at every token the ridge regression of all values so far on their keys, solved exactly. For 03e_family_since.

    H_t = a_t H_{t-1} + β_t k_t k_tᵀ,    G_t = a_t G_{t-1} + β_t k_t v_tᵀ        (a_t = e^{log_a_t})
    y_t = G_tᵀ (H_t + diag(λ))⁻¹ q_t

W = (H_t + diag(λ))⁻¹ G_t, keys × values, minimizes Σ_j w_j |v_j - Wᵀ k_j|² + Σ_c λ_c |W_c|², in which token j has the
weight w_j = β_j a_{j+1} … a_t and W_c is row c of W; and y_t = Wᵀ q_t. So this is SSD on keys β_j k_j that is read by
the solved queries q*_t = (H_t + diag(λ))⁻¹ q_t.

Source: von Oswald et al., arXiv 2506.05233. Arguments of all functions:

    Q, K: (N, d_k)      queries and keys
    V: (N, d_v)         values; y has the same shape
    log_a: (N,)         log of each token's decay, at most 0; -inf forgets everything before the token
    beta: (N,)          weight of each token, at least 0
    lam: (d_k,)         λ of each key dimension, above 0
    state               (H, G): (d_k, d_k) and (d_k, d_v), zero if not given; returned as they are after the last token

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a positive or NaN
log_a, a negative beta, a lam that is not above 0, a number that is not finite, or chunk_size < 1 raises ValueError
naming the argument.
"""

from functools import partial

import numpy as np
from jaxtyping import Float

from . import ssd
from ._chunks import decay_from_start, over_chunks
from .semiseparable import segsum
from .validation import ABOVE_0, AT_LEAST_0, checked_with, shapes_checked

Keys = Float[np.ndarray, "N d_k"]
Values = Float[np.ndarray, "N d_v"]
PerToken = Float[np.ndarray, " N"]
Ridge = Float[np.ndarray, " d_k"]
State = tuple[Float[np.ndarray, "d_k d_k"], Float[np.ndarray, "d_k d_v"]]

checked = checked_with(beta=AT_LEAST_0, lam=ABOVE_0)


def _start(K: np.ndarray, V: np.ndarray, state: State | None) -> State:
    """The state (H, G)."""
    d_k, d_v = K.shape[1], V.shape[1]
    return (np.zeros((d_k, d_k)), np.zeros((d_k, d_v))) if state is None else state


def _solved(
    Q: np.ndarray, K: np.ndarray, log_a: np.ndarray, beta: np.ndarray, lam: np.ndarray, H: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The solved queries q*_t, (N, d_k), and H after the last token."""
    decay = np.exp(segsum(log_a))
    H_t = np.einsum("tj,j,jk,jl->tkl", decay, beta, K, K) + decay_from_start(log_a)[:, None, None] * H
    return np.linalg.solve(H_t + np.diag(lam), Q[..., None])[..., 0], H_t[-1] if len(H_t) else H


@checked
def matrix(
    Q: Keys, K: Keys, V: Values, log_a: PerToken, beta: PerToken, lam: Ridge
) -> Float[np.ndarray, "N N"]:
    """The matrix M = L ∘ (Q* Kᵀ) diag(β) with y = M V; of V only the length matters. Q* depends on the keys."""
    H, _ = _start(K, V, None)
    return ssd.matrix(V, log_a, beta[:, None] * K, _solved(Q, K, log_a, beta, lam, H)[0])


@checked
def parallel(
    Q: Keys, K: Keys, V: Values, log_a: PerToken, beta: PerToken, lam: Ridge, state: State | None = None
) -> tuple[Values, State]:
    """The attention view, O(N²) and one linear system for each token: solve the queries, then SSD."""
    H, G = _start(K, V, state)
    solved, H = _solved(Q, K, log_a, beta, lam, H)
    y, G = ssd.parallel(V, log_a, beta[:, None] * K, solved, G)
    return y, (H, G)


@checked
def recurrent(
    Q: Keys, K: Keys, V: Values, log_a: PerToken, beta: PerToken, lam: Ridge, state: State | None = None
) -> tuple[Values, State]:
    """The SSM view, O(N): two sums, and one linear system at every token."""
    H, G = _start(K, V, state)
    y = np.empty_like(V)
    for t in range(len(V)):
        H = np.exp(log_a[t]) * H + beta[t] * np.outer(K[t], K[t])
        G = np.exp(log_a[t]) * G + beta[t] * np.outer(K[t], V[t])
        y[t] = np.linalg.solve(H + np.diag(lam), Q[t]) @ G
    return y, (H, G)


@checked
def chunkwise(
    Q: Keys,
    K: Keys,
    V: Values,
    log_a: PerToken,
    beta: PerToken,
    lam: Ridge,
    state: State | None = None,
    chunk_size: int = 64,
) -> tuple[Values, State]:
    """One linear system for each token, recurrent between chunks, O(N·chunk_size): `parallel` chunk by chunk."""
    return over_chunks(partial(parallel, lam=lam), (Q, K, V, log_a, beta), state, chunk_size)


@shapes_checked
def step(
    q_t: Float[np.ndarray, " d_k"],
    k_t: Float[np.ndarray, " d_k"],
    v_t: Float[np.ndarray, " d_v"],
    log_a_t: Float[np.ndarray, ""] | float,
    beta_t: Float[np.ndarray, ""] | float,
    lam: Ridge,
    state: State | None = None,
) -> tuple[Float[np.ndarray, " d_v"], State]:
    """One token of `recurrent`; returns (y_t, state)."""
    gates = np.array([log_a_t], float), np.array([beta_t], float)
    y, state = recurrent(q_t[None], k_t[None], v_t[None], *gates, lam, state)
    return y[0], state
