"""State-space duality (Mamba-2's core): a state with one scalar decay per token. Introduced in 03b_duality.

    S_t = e^{log_a_t} S_{t-1} + B_t x_tᵀ,    y_t = C_t S_t          (S: d_state × d, keys × values)
    y = M x  with  M = L ∘ (C Bᵀ),  L[i, j] = e^{log_a_{j+1} + … + log_a_i} for i ≥ j

Source: Dao and Gu, arXiv 2405.21060, Sections 5 and 6. Arguments of all functions:

    x: (N, d)           the input; y has the same shape
    log_a: (N,)         log of each token's decay, at most 0; -inf forgets everything before the token
    B, C: (N, d_state)  how a token writes to the state, and how it reads from it
    state: (d_state, d) the state before the first token, zero if not given; the state after the last is returned

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a positive
or NaN log_a, a number that is not finite, or chunk_size < 1 raises ValueError naming the argument.
"""

import numpy as np
from jaxtyping import Float

from ._chunks import decay_from_start, decay_to_end, over_chunks
from .semiseparable import from_sss
from .validation import checked, shapes_checked

Values = Float[np.ndarray, "N d"]
LogDecay = Float[np.ndarray, " N"]
Keys = Float[np.ndarray, "N d_state"]
State = Float[np.ndarray, "d_state d"]


@checked
def matrix(x: Values, log_a: LogDecay, B: Keys, C: Keys) -> Float[np.ndarray, "N N"]:
    """The matrix M = L ∘ (C Bᵀ) with y = M x; of x only the length matters. Source: arXiv 2405.21060, Section 5.1."""
    return from_sss(log_a, B, C)


@checked
def parallel(x: Values, log_a: LogDecay, B: Keys, C: Keys, state: State | None = None) -> tuple[Values, State]:
    """The attention view, O(N²): build the masked matrix and multiply.

        y = M x + (decay since the start) ∘ (C S_0)
        S_N = Σ_j (decay from j to the end) B_j x_jᵀ + (decay of the whole) S_0

    Source: arXiv 2405.21060, Section 5.2.
    """
    y = matrix(x, log_a, B, C) @ x
    S = (B * decay_to_end(log_a)[:, None]).T @ x
    if state is not None:
        y = y + decay_from_start(log_a)[:, None] * (C @ state)
        S = S + np.exp(log_a.sum()) * state
    return y, S


@checked
def recurrent(x: Values, log_a: LogDecay, B: Keys, C: Keys, state: State | None = None) -> tuple[Values, State]:
    """The SSM view, O(N): carry the state from token to token.

        S_t = e^{log_a_t} S_{t-1} + B_t x_tᵀ,    y_t = C_t S_t

    Source: arXiv 2405.21060, equation (2) with A_t = a_t I (Section 5.1).
    """
    S = np.zeros((B.shape[1], x.shape[1])) if state is None else state
    y = np.empty_like(x)
    for t in range(len(x)):
        S = np.exp(log_a[t]) * S + np.outer(B[t], x[t])
        y[t] = C[t] @ S
    return y, S


@checked
def chunkwise(
    x: Values, log_a: LogDecay, B: Keys, C: Keys, state: State | None = None, chunk_size: int = 64
) -> tuple[Values, State]:
    """The SSD algorithm, O(N·chunk_size): quadratic inside a chunk, recurrent between chunks.

    On each chunk `parallel` computes (1) the diagonal block, (2) what the chunk adds to the state, (3) the state to
    pass on, and (4) what the incoming state contributes to the outputs. Source: arXiv 2405.21060, Section 6.
    """
    return over_chunks(parallel, (x, log_a, B, C), state, chunk_size)


@shapes_checked
def step(
    x_t: Float[np.ndarray, " d"],
    log_a_t: Float[np.ndarray, ""] | float,
    B_t: Float[np.ndarray, " d_state"],
    C_t: Float[np.ndarray, " d_state"],
    state: State | None = None,
) -> tuple[Float[np.ndarray, " d"], State]:
    """One token of `recurrent`: S = e^{log_a_t} S + B_t x_tᵀ, y_t = C_t S; returns (y_t, S)."""
    y, state = recurrent(x_t[None], np.array([log_a_t], float), B_t[None], C_t[None], state)
    return y[0], state
