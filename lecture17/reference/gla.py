"""Gated linear attention: every key dimension has a decay of its own. Introduced in 01_tour and 03c_family.

    S_t = diag(α_t) S_{t-1} + k_t v_tᵀ,    y_t = q_t S_t            (S: d_k × d_v, keys × values)
    y = M V  with  M[i, j] = Σ_c q_ic k_jc e^{log_alpha_{j+1,c} + … + log_alpha_ic} for i ≥ j

Each key dimension c contributes a matrix like SSD's with d_state = 1, so M is a sum of d_k of them. The decays between
two tokens are summed as logs and never divided out of cumulative products, which underflow: gates of 1e-30 and of
exactly 0 work. Source: Yang et al., arXiv 2312.06635, Section 4. Arguments of all functions:

    Q, K: (N, d_k)          queries and keys
    V: (N, d_v)             values; y has the same shape
    log_alpha: (N, d_k)     log of the gates, at most 0; -inf forgets everything under that key
    state: (d_k, d_v)       the state before the first token, zero if not given; the state after the last is returned

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a positive
or NaN log_alpha, a number that is not finite, or chunk_size < 1 raises ValueError naming the argument.
"""

import numpy as np
from jaxtyping import Float

from ._chunks import decay_from_start, decay_to_end, over_chunks
from .semiseparable import from_sss
from .validation import checked, shapes_checked

Keys = Float[np.ndarray, "N d_k"]
Values = Float[np.ndarray, "N d_v"]
State = Float[np.ndarray, "d_k d_v"]


@checked
def matrix(Q: Keys, K: Keys, V: Values, log_alpha: Keys) -> Float[np.ndarray, "N N"]:
    """The matrix M with y = M V, added up key dimension by key dimension in O(N²) memory; of V only the length matters.

    M = Σ_c from_sss(log_alpha[:, c], K[:, c], Q[:, c])

    Source: arXiv 2312.06635, Section 4.1 (the parallel form, there with the cumulative products divided out).
    """
    M = np.zeros((len(V), len(V)))
    for c in range(K.shape[1]):
        M += from_sss(log_alpha[:, c], K[:, [c]], Q[:, [c]])
    return M


@checked
def parallel(Q: Keys, K: Keys, V: Values, log_alpha: Keys, state: State | None = None) -> tuple[Values, State]:
    """The attention view, O(N²): build the masked matrix and multiply.

    y = M V + (Q ∘ decay since the start) S_0
    S_N = (K ∘ decay to the end)ᵀ V + diag(decay of the whole) S_0
    """
    y = matrix(Q, K, V, log_alpha) @ V
    S = (K * decay_to_end(log_alpha)).T @ V
    if state is not None:
        y = y + (Q * decay_from_start(log_alpha)) @ state
        S = S + np.exp(log_alpha.sum(0))[:, None] * state
    return y, S


@checked
def recurrent(Q: Keys, K: Keys, V: Values, log_alpha: Keys, state: State | None = None) -> tuple[Values, State]:
    """The SSM view, O(N): S_t = diag(α_t) S_{t-1} + k_t v_tᵀ, y_t = q_t S_t. Source: arXiv 2312.06635, Section 4.1."""
    S = np.zeros((K.shape[1], V.shape[1])) if state is None else state
    y = np.empty_like(V)
    for t in range(len(V)):
        S = np.exp(log_alpha[t])[:, None] * S + np.outer(K[t], V[t])
        y[t] = Q[t] @ S
    return y, S


@checked
def chunkwise(
    Q: Keys, K: Keys, V: Values, log_alpha: Keys, state: State | None = None, chunk_size: int = 64
) -> tuple[Values, State]:
    """Quadratic inside a chunk, recurrent between chunks, O(N·chunk_size): `parallel` chunk by chunk.

    Source: arXiv 2312.06635, Section 4.2.
    """
    return over_chunks(parallel, (Q, K, V, log_alpha), state, chunk_size)


@shapes_checked
def step(
    q_t: Float[np.ndarray, " d_k"],
    k_t: Float[np.ndarray, " d_k"],
    v_t: Float[np.ndarray, " d_v"],
    log_alpha_t: Float[np.ndarray, " d_k"],
    state: State | None = None,
) -> tuple[Float[np.ndarray, " d_v"], State]:
    """One token of `recurrent`; returns (y_t, state)."""
    y, state = recurrent(q_t[None], k_t[None], v_t[None], log_alpha_t[None], state)
    return y[0], state
