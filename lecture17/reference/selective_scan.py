"""The selective scan (Mamba-1's core): every channel and state entry decays by itself. Introduced in 03c_family.

Per channel c, with a state h of d_state numbers:

    h_t = e^{δ_tc A_c} ∘ h_{t-1} + δ_tc B_t x_tc,    y_tc = C_t·h_t

This is gated linear attention once per channel, with queries C, keys δ_c ∘ B, values x_c and log gates δ_c A_c: one
matrix per channel, and no matrix multiplication that serves them all. Source: Gu and Dao, arXiv 2312.00752, Section
3.2, with B discretized by Euler's rule as in the published code. Arguments of all functions:

    x: (N, d)           the input; y has the same shape
    delta: (N, d)       step size of each token and channel, at least 0
    A: (d, d_state)     rates, at most 0
    B, C: (N, d_state)  how a token writes to the state, and how it reads from it
    state: (d_state, d) the state before the first token, zero if not given; the state after the last is returned

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a positive A,
a negative delta, a number that is not finite, or chunk_size < 1 raises ValueError naming the argument.
"""

import numpy as np
from jaxtyping import Float

from . import gla
from ._chunks import over_chunks
from .validation import checked, shapes_checked

Channels = Float[np.ndarray, "N d"]
Rates = Float[np.ndarray, "d d_state"]
Keys = Float[np.ndarray, "N d_state"]
State = Float[np.ndarray, "d_state d"]


def _as_gla(
    x: np.ndarray, delta: np.ndarray, A: np.ndarray, B: np.ndarray, C: np.ndarray, c: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Channel c as the (Q, K, V, log_alpha) of gated linear attention."""
    return C, delta[:, [c]] * B, x[:, [c]], delta[:, [c]] * A[c]


@checked
def matrix(x: Channels, delta: Channels, A: Rates, B: Keys, C: Keys) -> Float[np.ndarray, "d N N"]:
    """One matrix per channel, y[:, c] = M[c] x[:, c]; of x only the shape matters.

    M[c, i, j] = Σ_s C_is e^{A_cs (δ_{j+1,c} + … + δ_ic)} δ_jc B_js   for i ≥ j,   0 above
    """
    N, d = x.shape
    M = np.empty((d, N, N))
    for c in range(d):
        M[c] = gla.matrix(*_as_gla(x, delta, A, B, C, c))
    return M


@checked
def parallel(
    x: Channels, delta: Channels, A: Rates, B: Keys, C: Keys, state: State | None = None
) -> tuple[Channels, State]:
    """The attention view, O(N²): `gla.parallel` once per channel."""
    y, h = np.empty_like(x), np.empty((B.shape[1], x.shape[1]))
    for c in range(x.shape[1]):
        h_c = None if state is None else state[:, [c]]
        y[:, [c]], h[:, [c]] = gla.parallel(*_as_gla(x, delta, A, B, C, c), h_c)
    return y, h


@checked
def recurrent(
    x: Channels, delta: Channels, A: Rates, B: Keys, C: Keys, state: State | None = None
) -> tuple[Channels, State]:
    """The SSM view, O(N): h_t = e^{δ_tc A_c} ∘ h_{t-1} + δ_tc B_t x_tc, y_tc = C_t·h_t, all channels at once.

    Source: arXiv 2312.00752, Algorithm 2.
    """
    h = np.zeros((B.shape[1], x.shape[1])) if state is None else state  # (d_state, d)
    y = np.empty_like(x)
    for t in range(len(x)):
        h = np.exp(delta[t] * A.T) * h + np.outer(B[t], delta[t] * x[t])
        y[t] = C[t] @ h
    return y, h


@checked
def chunkwise(
    x: Channels, delta: Channels, A: Rates, B: Keys, C: Keys, state: State | None = None, chunk_size: int = 64
) -> tuple[Channels, State]:
    """Quadratic inside a chunk, recurrent between chunks, O(N·chunk_size): `parallel` chunk by chunk."""
    return over_chunks(
        lambda x, delta, B, C, state: parallel(x, delta, A, B, C, state), (x, delta, B, C), state, chunk_size
    )


@shapes_checked
def step(
    x_t: Float[np.ndarray, " d"],
    delta_t: Float[np.ndarray, " d"],
    A: Rates,
    B_t: Float[np.ndarray, " d_state"],
    C_t: Float[np.ndarray, " d_state"],
    state: State | None = None,
) -> tuple[Float[np.ndarray, " d"], State]:
    """One token of `recurrent`; returns (y_t, state)."""
    y, state = recurrent(x_t[None], delta_t[None], A, B_t[None], C_t[None], state)
    return y[0], state
