"""Retention (RetNet's core): one decay for all tokens. Introduced in 01_tour and 03c_family.

    S_t = γ S_{t-1} + k_t v_tᵀ,    y_t = q_t S_t                    (S: d_k × d_v, keys × values)
    y = M V  with  M = D ∘ (Q Kᵀ),  D[i, j] = γ^{i-j} for i ≥ j

Nothing is normalized here; the rotation, the scale of k and GroupNorm belong to the layer. Source: Sun et al.,
arXiv 2307.08621, Section 2.1. Arguments of all functions:

    Q, K: (N, d_k)      queries and keys
    V: (N, d_v)         values; y has the same shape
    gamma: number       γ in [0, 1]: what is left of the state after one token
    state: (d_k, d_v)   the state before the first token, zero if not given; the state after the last is returned

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; gamma outside
[0, 1], a number that is not finite, or chunk_size < 1 raises ValueError naming the argument.
"""

from functools import partial

import numpy as np
from jaxtyping import Float

from ._chunks import over_chunks
from .validation import checked, shapes_checked

Keys = Float[np.ndarray, "N d_k"]
Values = Float[np.ndarray, "N d_v"]
State = Float[np.ndarray, "d_k d_v"]


@checked
def matrix(Q: Keys, K: Keys, V: Values, gamma: float) -> Float[np.ndarray, "N N"]:
    """The matrix M = D ∘ (Q Kᵀ) with y = M V; of V only the length matters. Source: arXiv 2307.08621, Section 2.1."""
    t = np.arange(len(V))
    D = np.tril(gamma ** np.maximum(t[:, None] - t, 0))
    return D * (Q @ K.T)


@checked
def parallel(Q: Keys, K: Keys, V: Values, gamma: float, state: State | None = None) -> tuple[Values, State]:
    """The attention view, O(N²): build the masked matrix and multiply.

    y_i = (M V)_i + γ^{i+1} q_i S_0,    S_N = Σ_j γ^{N-1-j} k_j v_jᵀ + γ^N S_0
    """
    N = len(V)
    y = matrix(Q, K, V, gamma) @ V
    S = (K * gamma ** np.arange(N)[::-1, None]).T @ V
    if state is not None:
        y = y + gamma ** np.arange(1, N + 1)[:, None] * (Q @ state)
        S = S + gamma**N * state
    return y, S


@checked
def recurrent(Q: Keys, K: Keys, V: Values, gamma: float, state: State | None = None) -> tuple[Values, State]:
    """The SSM view, O(N): S_t = γ S_{t-1} + k_t v_tᵀ, y_t = q_t S_t."""
    S = np.zeros((K.shape[1], V.shape[1])) if state is None else state
    y = np.empty_like(V)
    for t in range(len(V)):
        S = gamma * S + np.outer(K[t], V[t])
        y[t] = Q[t] @ S
    return y, S


@checked
def chunkwise(
    Q: Keys, K: Keys, V: Values, gamma: float, state: State | None = None, chunk_size: int = 64
) -> tuple[Values, State]:
    """Quadratic inside a chunk, recurrent between chunks, O(N·chunk_size): `parallel` chunk by chunk."""
    return over_chunks(partial(parallel, gamma=gamma), (Q, K, V), state, chunk_size)


@shapes_checked
def step(
    q_t: Float[np.ndarray, " d_k"],
    k_t: Float[np.ndarray, " d_k"],
    v_t: Float[np.ndarray, " d_v"],
    gamma: float,
    state: State | None = None,
) -> tuple[Float[np.ndarray, " d_v"], State]:
    """One token of `recurrent`; returns (y_t, state)."""
    y, state = recurrent(q_t[None], k_t[None], v_t[None], gamma, state)
    return y[0], state
