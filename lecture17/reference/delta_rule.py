"""The delta rule, plain and gated: a token replaces what its key recalls. Introduced in 03c_memory.

    S_t = a_t (I - β_t k_t k_tᵀ) S_{t-1} + β_t k_t v_tᵀ,    y_t = q_t S_t    (S: d_k × d_v, a_t = e^{log_a_t})

Read as S_t = a_t S_{t-1} + k_t d_tᵀ with d_t = β_t (v_t - a_t S_{t-1}ᵀ k_t), this is SSD on corrected values d. Because
S_{t-1} is itself made of earlier d, they solve one unit lower triangular system (the UT transform of the WY form):

    (I + diag(β) tril(L ∘ K Kᵀ, -1)) D = diag(β) (V - (decay since the start) ∘ K S_0),    y = (L ∘ Q Kᵀ) D + …

Sources: Schlag et al., arXiv 2102.11174 (the rule); Yang et al., arXiv 2406.06484, Section 3 (WY and UT); Yang et al.,
arXiv 2412.06464, Section 3 (gated). Arguments of all functions:

    Q, K: (N, d_k)      queries and keys; the transition is a contraction for β_t |k_t|² in [0, 2]
    V: (N, d_v)         values; y has the same shape
    beta: (N,)          how much is replaced: 0 nothing, 1 all (for unit keys), 2 a reflection
    log_a: (N,)         log of each token's decay, at most 0, -inf allowed; None: no decay (the plain rule)
    state: (d_k, d_v)   the state before the first token, zero if not given; the state after the last is returned

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a positive
or NaN log_a, a number that is not finite, or chunk_size < 1 raises ValueError naming the argument.
"""

import numpy as np
from jaxtyping import Float

from . import ssd
from ._chunks import decay_from_start, over_chunks
from .validation import checked, shapes_checked

Keys = Float[np.ndarray, "N d_k"]
Values = Float[np.ndarray, "N d_v"]
PerToken = Float[np.ndarray, " N"]
State = Float[np.ndarray, "d_k d_v"]


def _log_decay(beta: np.ndarray, log_a: np.ndarray | None) -> np.ndarray:
    return np.zeros_like(beta) if log_a is None else log_a


def _triangular(K: np.ndarray, beta: np.ndarray, log_a: np.ndarray) -> np.ndarray:
    """I + diag(β) tril(L ∘ K Kᵀ, -1), which maps corrected values to β times the given ones."""
    return np.eye(len(K)) + beta[:, None] * np.tril(ssd.matrix(K, log_a, K, K), -1)


@checked
def matrix(Q: Keys, K: Keys, V: Values, beta: PerToken, log_a: PerToken | None = None) -> Float[np.ndarray, "N N"]:
    """The matrix M with y = M V; of V only the length matters.

    M = (L ∘ Q Kᵀ) (I + diag(β) tril(L ∘ K Kᵀ, -1))⁻¹ diag(β)
    """
    log_a = _log_decay(beta, log_a)
    return ssd.matrix(V, log_a, K, Q) @ np.linalg.solve(_triangular(K, beta, log_a), np.diag(beta))


@checked
def parallel(
    Q: Keys, K: Keys, V: Values, beta: PerToken, log_a: PerToken | None = None, state: State | None = None
) -> tuple[Values, State]:
    """The attention view, O(N²) and one triangular solve: correct the values, then SSD. Source: arXiv 2406.06484, 3."""
    log_a = _log_decay(beta, log_a)
    recalled = 0 if state is None else decay_from_start(log_a)[:, None] * (K @ state)
    D = np.linalg.solve(_triangular(K, beta, log_a), beta[:, None] * (V - recalled))
    return ssd.parallel(D, log_a, K, Q, state)


@checked
def recurrent(
    Q: Keys, K: Keys, V: Values, beta: PerToken, log_a: PerToken | None = None, state: State | None = None
) -> tuple[Values, State]:
    """The SSM view, O(N): after the decay, one step of gradient descent on |v_t - Sᵀ k_t|²/2 with step size β_t.

        S = a_t S_{t-1},    S_t = S + β_t k_t (v_t - Sᵀ k_t)ᵀ,    y_t = q_t S_t

    Source: arXiv 2102.11174, Section 4; gated: arXiv 2412.06464, Section 3.
    """
    log_a = _log_decay(beta, log_a)
    S = np.zeros((K.shape[1], V.shape[1])) if state is None else state
    y = np.empty_like(V)
    for t in range(len(V)):
        S = np.exp(log_a[t]) * S
        S = S + beta[t] * np.outer(K[t], V[t] - K[t] @ S)
        y[t] = Q[t] @ S
    return y, S


@checked
def chunkwise(
    Q: Keys,
    K: Keys,
    V: Values,
    beta: PerToken,
    log_a: PerToken | None = None,
    state: State | None = None,
    chunk_size: int = 64,
) -> tuple[Values, State]:
    """One triangular solve per chunk, recurrent between chunks, O(N·chunk_size): `parallel` chunk by chunk."""
    return over_chunks(parallel, (Q, K, V, beta, _log_decay(beta, log_a)), state, chunk_size)


@shapes_checked
def step(
    q_t: Float[np.ndarray, " d_k"],
    k_t: Float[np.ndarray, " d_k"],
    v_t: Float[np.ndarray, " d_v"],
    beta_t: Float[np.ndarray, ""] | float,
    log_a_t: Float[np.ndarray, ""] | float | None = None,
    state: State | None = None,
) -> tuple[Float[np.ndarray, " d_v"], State]:
    """One token of `recurrent`; returns (y_t, state)."""
    log_a = None if log_a_t is None else np.array([log_a_t], float)
    y, state = recurrent(q_t[None], k_t[None], v_t[None], np.array([beta_t], float), log_a, state)
    return y[0], state
