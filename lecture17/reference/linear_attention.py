"""Causal linear attention: nothing is forgotten. Introduced in 00_quickstart and 03b_duality.

    S_t = S_{t-1} + k_t v_tᵀ,   z_t = z_{t-1} + k_t           (S: d_k × d_v, keys × values; z: d_k)
    y_t = q_t S_t,              normalized: y_t = q_t S_t / (q_t·z_t)

Feature maps are the caller's: Q and K are used as they are. Source: Katharopoulos et al., arXiv 2006.16236,
equations (16) to (20). Arguments of all functions:

    Q, K: (N, d_k)      queries and keys
    V: (N, d_v)         values; y has the same shape
    normalize: bool     divide by q_t·z_t, so that the rows of the matrix sum to 1
    state               (d_k, d_v), or with normalize the pair (S, z); zero if not given

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a number that
is not finite, chunk_size < 1, or a normalizer q_t·z_t that is zero raises ValueError naming the argument.
"""

from functools import partial

import numpy as np
from jaxtyping import Float

from ._chunks import over_chunks
from .validation import checked, shapes_checked

Keys = Float[np.ndarray, "N d_k"]
Values = Float[np.ndarray, "N d_v"]
State = Float[np.ndarray, "d_k d_v"] | tuple[Float[np.ndarray, "d_k d_v"], Float[np.ndarray, " d_k"]]


def _start(K: np.ndarray, V: np.ndarray, normalize: bool, state: State | None) -> tuple[np.ndarray, np.ndarray]:
    """The state as a pair (S, z), in whichever form it came."""
    if state is None:
        return np.zeros((K.shape[-1], V.shape[-1])), np.zeros(K.shape[-1])
    if isinstance(state, tuple) != normalize:
        raise ValueError(
            "state is the pair (S, z) with normalize=True and the array S without: "
            f"got {'a pair' if isinstance(state, tuple) else 'an array'} with normalize={normalize}"
        )
    return state if isinstance(state, tuple) else (state, np.zeros(K.shape[-1]))


def _divide(y: np.ndarray, normalizer: np.ndarray) -> np.ndarray:
    if (normalizer == 0).any():
        raise ValueError(
            f"normalize=True divides by q_t·z_t, which is 0 at t = {int(np.argmax(normalizer == 0))}: "
            "expected Q and K from a positive feature map"
        )
    return y / normalizer[..., None]


@checked
def matrix(Q: Keys, K: Keys, V: Values, normalize: bool = False) -> Float[np.ndarray, "N N"]:
    """The matrix M = tril(Q Kᵀ), rows divided by their sums if normalize; of V only the length matters.

    Source: arXiv 2006.16236, Section 3.3 (causal masking); as a matrix arXiv 2405.21060, Section 4.
    """
    M = np.tril(Q @ K.T)
    return _divide(M, M.sum(1)) if normalize else M


@checked
def parallel(Q: Keys, K: Keys, V: Values, normalize: bool = False, state: State | None = None) -> tuple[Values, State]:
    """The attention view, O(N²): y = tril(Q Kᵀ) V, divided by the row sums if normalize."""
    S, z = _start(K, V, normalize, state)
    scores = matrix(Q, K, V)
    y = scores @ V + Q @ S
    S, z_N = S + K.T @ V, z + K.sum(0)
    return (_divide(y, scores.sum(1) + Q @ z), (S, z_N)) if normalize else (y, S)


@checked
def recurrent(Q: Keys, K: Keys, V: Values, normalize: bool = False, state: State | None = None) -> tuple[Values, State]:
    """The SSM view, O(N): S_t = S_{t-1} + k_t v_tᵀ, z_t = z_{t-1} + k_t. Source: arXiv 2006.16236, (18) to (20)."""
    S, z = _start(K, V, normalize, state)
    y, normalizer = np.empty_like(V), np.empty(len(V))
    for t in range(len(V)):
        S, z = S + np.outer(K[t], V[t]), z + K[t]
        y[t], normalizer[t] = Q[t] @ S, Q[t] @ z
    return (_divide(y, normalizer), (S, z)) if normalize else (y, S)


@checked
def chunkwise(
    Q: Keys, K: Keys, V: Values, normalize: bool = False, state: State | None = None, chunk_size: int = 64
) -> tuple[Values, State]:
    """Quadratic inside a chunk, recurrent between chunks, O(N·chunk_size): `parallel` chunk by chunk."""
    return over_chunks(partial(parallel, normalize=normalize), (Q, K, V), state, chunk_size)


@shapes_checked
def step(
    q_t: Float[np.ndarray, " d_k"],
    k_t: Float[np.ndarray, " d_k"],
    v_t: Float[np.ndarray, " d_v"],
    normalize: bool = False,
    state: State | None = None,
) -> tuple[Float[np.ndarray, " d_v"], State]:
    """One token of `recurrent`; returns (y_t, state)."""
    y, state = recurrent(q_t[None], k_t[None], v_t[None], normalize, state)
    return y[0], state
