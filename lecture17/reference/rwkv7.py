"""RWKV-7's generalized delta rule: vector decay, and removal along one direction. Introduced in 01_tour and 03c_memory.

    S_t = diag(w_t) S_{t-1} - (a_t ∘ κ̂_t)(κ̂_tᵀ S_{t-1}) + k_t v_tᵀ,    y_t = r_t S_t    (S: d_k × d_v, keys × values)

The removal reads the state before this token's decay. With what it finds, u_t = S_{t-1}ᵀ κ̂_t, and b_t = a_t ∘ κ̂_t,
S_t = diag(w_t) S_{t-1} + k_t v_tᵀ - b_t u_tᵀ is gated linear attention with two writes. Unrolled to token t-1 and
read with κ̂_t, where G[t-1, j] = diag(w_{j+1} ∘ … ∘ w_{t-1}) is how much is then left of what token j wrote,

    u_t = Σ_{j<t} κ̂_tᵀ G[t-1, j] (k_j v_jᵀ - b_j u_jᵀ) + κ̂_tᵀ G[t-1, start] S_0

so that all u_t solve one unit lower triangular system (the UT transform of the WY form):

    (I + A_b) U = A_k V + (κ̂ ∘ decay before t) S_0,    A_b[t, j] = κ̂_tᵀ G[t-1, j] b_j,  A_k alike,  both for j < t

Source: Peng et al., arXiv 2503.14456, Sections 3 and 4. Arguments of all functions, in the order r, log_w, k, v, kappa,
a:

    r, k: (N, d_k)      receptance (the query) and key
    log_w: (N, d_k)     log of the decay, at most 0; -inf forgets everything under that key
    v: (N, d_v)         values; y has the same shape
    kappa: (N, d_k)     removal direction κ̂ of each token, of length 1 (or 0: remove nothing)
    a: (N, d_k)         in-context learning rate, how much is removed per key
    state: (d_k, d_v)   the state before the first token, zero if not given; the state after the last is returned

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a positive or NaN
log_w, a kappa of another length, a number that is not finite, or chunk_size < 1 raises ValueError naming the argument.
"""

import numpy as np
from jaxtyping import Float

from . import gla
from ._chunks import decay_from_start, over_chunks
from .validation import checked, shapes_checked

Keys = Float[np.ndarray, "N d_k"]
Values = Float[np.ndarray, "N d_v"]
State = Float[np.ndarray, "d_k d_v"]


def _before(kappa: np.ndarray, keys: np.ndarray, v: np.ndarray, log_w: np.ndarray) -> np.ndarray:
    """A[t, j] = κ̂_tᵀ (decays of tokens j+1 … t-1) keys_j for j < t: what token t finds of the writes before it."""
    A = np.zeros((len(v), len(v)))
    A[1:, :-1] = gla.matrix(kappa[1:], keys[:-1], v[:-1], log_w[:-1])
    return A


@checked
def matrix(r: Keys, log_w: Keys, k: Keys, v: Values, kappa: Keys, a: Keys) -> Float[np.ndarray, "N N"]:
    """The matrix M with y = M v; of v only the length matters.

    M = M_rk - M_rb (I + A_b)⁻¹ A_k    with M_rk and M_rb those of `gla`, read with r and written with k and b
    """
    b = a * kappa
    A_b, A_k = _before(kappa, b, v, log_w), _before(kappa, k, v, log_w)
    return gla.matrix(r, k, v, log_w) - gla.matrix(r, b, v, log_w) @ np.linalg.solve(np.eye(len(v)) + A_b, A_k)


@checked
def parallel(
    r: Keys, log_w: Keys, k: Keys, v: Values, kappa: Keys, a: Keys, state: State | None = None
) -> tuple[Values, State]:
    """The attention view, O(N²): one triangular solve to find what is removed, then two passes of `gla`."""
    b = a * kappa
    found = _before(kappa, k, v, log_w) @ v
    if state is not None:
        log_w_before = np.concatenate([np.zeros_like(log_w[:1]), log_w[:-1]])
        found = found + (kappa * decay_from_start(log_w_before)) @ state
    U = np.linalg.solve(np.eye(len(v)) + _before(kappa, b, v, log_w), found)
    y_written, S_written = gla.parallel(r, k, v, log_w, state)
    y_removed, S_removed = gla.parallel(r, b, U, log_w)
    return y_written - y_removed, S_written - S_removed


@checked
def recurrent(
    r: Keys, log_w: Keys, k: Keys, v: Values, kappa: Keys, a: Keys, state: State | None = None
) -> tuple[Values, State]:
    """The SSM view, O(N): S_t = diag(w_t) S_{t-1} - (a_t ∘ κ̂_t)(κ̂_tᵀ S_{t-1}) + k_t v_tᵀ, y_t = r_t S_t."""
    S = np.zeros((k.shape[1], v.shape[1])) if state is None else state
    y = np.empty_like(v)
    for t in range(len(v)):
        removed = np.outer(a[t] * kappa[t], kappa[t] @ S)
        S = np.exp(log_w[t])[:, None] * S - removed + np.outer(k[t], v[t])
        y[t] = r[t] @ S
    return y, S


@checked
def chunkwise(
    r: Keys, log_w: Keys, k: Keys, v: Values, kappa: Keys, a: Keys, state: State | None = None, chunk_size: int = 64
) -> tuple[Values, State]:
    """One triangular solve per chunk, recurrent between chunks, O(N·chunk_size): `parallel` chunk by chunk."""
    return over_chunks(parallel, (r, log_w, k, v, kappa, a), state, chunk_size)


@shapes_checked
def step(
    r_t: Float[np.ndarray, " d_k"],
    log_w_t: Float[np.ndarray, " d_k"],
    k_t: Float[np.ndarray, " d_k"],
    v_t: Float[np.ndarray, " d_v"],
    kappa_t: Float[np.ndarray, " d_k"],
    a_t: Float[np.ndarray, " d_k"],
    state: State | None = None,
) -> tuple[Float[np.ndarray, " d_v"], State]:
    """One token of `recurrent`; returns (y_t, state)."""
    y, state = recurrent(r_t[None], log_w_t[None], k_t[None], v_t[None], kappa_t[None], a_t[None], state)
    return y[0], state
