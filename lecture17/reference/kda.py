"""Kimi Delta Attention: the delta rule, with a decay of its own for every key. Introduced in 03e_family_since.

    S_t = (I - β_t k_t k_tᵀ) diag(α_t) S_{t-1} + β_t k_t v_tᵀ,    y_t = q_t S_t    (S: d_k × d_v, α_t = e^{log_alpha_t})

Read as S_t = diag(α_t) S_{t-1} + k_t d_tᵀ with d_t = β_t (v_t - (diag(α_t) S_{t-1})ᵀ k_t), this is gated linear
attention on corrected values d. As in the delta rule, they solve one unit lower triangular system:

    (I + diag(β) tril(M_KK, -1)) D = diag(β) (V - (K ∘ decay since the start) S_0),    y = M_QK D + …

where M_QK is the matrix of `gla` and M_KK the same with keys for queries. The gated delta rule is the case of one decay
for all keys; with β = 0 nothing is written and the state only decays.

Source: Kimi Team, arXiv 2510.26692, Section 3 (equation 1 and the chunkwise form). Arguments of all functions:

    Q, K: (N, d_k)          queries and keys; the transition is a contraction for β_t |k_t|² in [0, 2]
    V: (N, d_v)             values; y has the same shape
    log_alpha: (N, d_k)     log of the decays, at most 0; -inf forgets everything under that key
    beta: (N,)              how much is replaced: 0 nothing, 1 all (for unit keys), 2 a reflection
    state: (d_k, d_v)       the state before the first token, zero if not given; the state after the last is returned

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a positive
or NaN log_alpha, a number that is not finite, or chunk_size < 1 raises ValueError naming the argument.
"""

import numpy as np
from jaxtyping import Float

from . import gla
from ._chunks import decay_from_start, over_chunks
from .validation import checked, shapes_checked

Keys = Float[np.ndarray, "N d_k"]
Values = Float[np.ndarray, "N d_v"]
PerToken = Float[np.ndarray, " N"]
State = Float[np.ndarray, "d_k d_v"]


def _triangular(K: np.ndarray, V: np.ndarray, log_alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """I + diag(β) tril(M_KK, -1), which maps corrected values to β times the given ones."""
    return np.eye(len(K)) + beta[:, None] * np.tril(gla.matrix(K, K, V, log_alpha), -1)


@checked
def matrix(Q: Keys, K: Keys, V: Values, log_alpha: Keys, beta: PerToken) -> Float[np.ndarray, "N N"]:
    """The matrix M with y = M V; of V only the length matters.

    M = M_QK (I + diag(β) tril(M_KK, -1))⁻¹ diag(β)
    """
    return gla.matrix(Q, K, V, log_alpha) @ np.linalg.solve(_triangular(K, V, log_alpha, beta), np.diag(beta))


@checked
def parallel(
    Q: Keys, K: Keys, V: Values, log_alpha: Keys, beta: PerToken, state: State | None = None
) -> tuple[Values, State]:
    """The attention view, O(N²) and one triangular solve: correct the values, then GLA. Source: arXiv 2510.26692, 3."""
    recalled = 0 if state is None else (K * decay_from_start(log_alpha)) @ state
    D = np.linalg.solve(_triangular(K, V, log_alpha, beta), beta[:, None] * (V - recalled))
    return gla.parallel(Q, K, D, log_alpha, state)


@checked
def recurrent(
    Q: Keys, K: Keys, V: Values, log_alpha: Keys, beta: PerToken, state: State | None = None
) -> tuple[Values, State]:
    """The SSM view, O(N): after the decay, one step of gradient descent on |v_t - Sᵀ k_t|²/2 with step size β_t.

        S = diag(α_t) S_{t-1},    S_t = S + β_t k_t (v_t - Sᵀ k_t)ᵀ,    y_t = q_t S_t

    Source: arXiv 2510.26692, equation 1.
    """
    S = np.zeros((K.shape[1], V.shape[1])) if state is None else state
    y = np.empty_like(V)
    for t in range(len(V)):
        S = np.exp(log_alpha[t])[:, None] * S
        S = S + beta[t] * np.outer(K[t], V[t] - K[t] @ S)
        y[t] = Q[t] @ S
    return y, S


@checked
def chunkwise(
    Q: Keys,
    K: Keys,
    V: Values,
    log_alpha: Keys,
    beta: PerToken,
    state: State | None = None,
    chunk_size: int = 64,
) -> tuple[Values, State]:
    """One triangular solve per chunk, recurrent between chunks, O(N·chunk_size): `parallel` chunk by chunk."""
    return over_chunks(parallel, (Q, K, V, log_alpha, beta), state, chunk_size)


@shapes_checked
def step(
    q_t: Float[np.ndarray, " d_k"],
    k_t: Float[np.ndarray, " d_k"],
    v_t: Float[np.ndarray, " d_v"],
    log_alpha_t: Float[np.ndarray, " d_k"],
    beta_t: Float[np.ndarray, ""] | float,
    state: State | None = None,
) -> tuple[Float[np.ndarray, " d_v"], State]:
    """One token of `recurrent`; returns (y_t, state)."""
    y, state = recurrent(q_t[None], k_t[None], v_t[None], log_alpha_t[None], np.array([beta_t], float), state)
    return y[0], state
