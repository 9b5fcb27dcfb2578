"""mLSTM, the matrix memory of xLSTM: exponential input gates, and a normalizer. Introduced in 03e_family_since.

    C_t = f_t C_{t-1} + i_t k_t v_tᵀ,   n_t = f_t n_{t-1} + i_t k_t        (C: d_k × d_v, keys × values; n: d_k)
    y_t = q_t C_t / max(|q_t·n_t|, 1)                                      (f_t = e^{log_f_t}, i_t = e^{log_i_t})

No exponential overflows, because C and n are kept as e^m C and e^m n with a running maximum m, the log of the largest
of what is kept, what is written and the 1 in the denominator:

    m_t = max(log_f_t + m_{t-1}, log_i_t, 0),    y_t = q_t C_t / max(|q_t·n_t|, e^{-m_t})    (C, n divided by e^{m_t})

The result is that of the plain formula, whatever m is. q is used as it is. Source: Beck et al., arXiv 2405.04517,
Section 2.3 and the appendix on the parallel form (its m has no 0). Arguments of all functions:

    Q, K: (N, d_k)      queries and keys
    V: (N, d_v)         values; y has the same shape
    log_i: (N,)         log of each token's input gate, of any sign; -inf writes nothing
    log_f: (N,)         log of each token's forget gate, at most 0; -inf forgets everything before the token
    state               (C, n, m): (d_k, d_v), (d_k,) and a number, C and n divided by e^m; zero if not given

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a positive or NaN
log_f, a log_i that is NaN or inf, a number that is not finite, or chunk_size < 1 raises ValueError naming the argument.
"""

import numpy as np
from jaxtyping import Float

from ._chunks import over_chunks
from .semiseparable import segsum
from .validation import LOG_WEIGHT, checked_with, shapes_checked

Keys = Float[np.ndarray, "N d_k"]
Values = Float[np.ndarray, "N d_v"]
PerToken = Float[np.ndarray, " N"]
State = tuple[Float[np.ndarray, "d_k d_v"], Float[np.ndarray, " d_k"], Float[np.ndarray, ""]]

checked = checked_with(log_i=LOG_WEIGHT)


def _start(K: np.ndarray, V: np.ndarray, state: State | None) -> State:
    """The state (C, n, m)."""
    d_k, d_v = K.shape[1], V.shape[1]
    return (np.zeros((d_k, d_v)), np.zeros(d_k), np.zeros(())) if state is None else state


def _weights(log_i: np.ndarray, log_f: np.ndarray, m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is left of each write after token i - 1, (N+1, N+1), divided by e^{m_i}; and m_i, (N+1,).

    Row 0 is before the first token. The state counts as one token before the first: column 0 is what is left of it.
    """
    exponents = segsum(np.concatenate([[0.0], log_f])) + np.concatenate([[m], log_i])
    m = np.maximum(exponents.max(axis=1), 0)
    return np.exp(exponents - m[:, None]), m


def _divide(y: np.ndarray, normalizer: np.ndarray, m: np.ndarray) -> np.ndarray:
    """y / max(|normalizer|, e^{-m}), where e^{-m} is not let underflow to 0: there may be nothing to divide by."""
    return y / np.maximum(abs(normalizer), np.exp(-np.minimum(m, 700)))[..., None]


@checked
def matrix(Q: Keys, K: Keys, V: Values, log_i: PerToken, log_f: PerToken) -> Float[np.ndarray, "N N"]:
    """The matrix M with y = M V; of V only the length matters.

    M[i, j] = D[i, j] q_i·k_j / max(|Σ_l D[i, l] q_i·k_l|, 1),    D[i, j] = i_j f_{j+1} … f_i    for i ≥ j, 0 above
    """
    weights, m = _weights(log_i, log_f, np.zeros(()))
    scores = weights[1:, 1:] * (Q @ K.T)
    return _divide(scores, scores.sum(1), m[1:])


@checked
def parallel(
    Q: Keys, K: Keys, V: Values, log_i: PerToken, log_f: PerToken, state: State | None = None
) -> tuple[Values, State]:
    """The attention view, O(N²): all weights at once, each row divided by its own e^m."""
    C, n, m_0 = _start(K, V, state)
    weights, m = _weights(log_i, log_f, m_0)
    scores, of_state = weights[1:, 1:] * (Q @ K.T), weights[:, 0]
    y = scores @ V + of_state[1:, None] * (Q @ C)
    normalizer = scores.sum(1) + of_state[1:] * (Q @ n)
    written = weights[-1, 1:, None] * K
    C, n = of_state[-1] * C + written.T @ V, of_state[-1] * n + written.sum(0)
    return _divide(y, normalizer, m[1:]), (C, n, np.array(m[-1]))


@checked
def recurrent(
    Q: Keys, K: Keys, V: Values, log_i: PerToken, log_f: PerToken, state: State | None = None
) -> tuple[Values, State]:
    """The SSM view, O(N): the stable form, from token to token. Source: arXiv 2405.04517, Section 2.3."""
    C, n, m = _start(K, V, state)
    y = np.empty_like(V)
    for t in range(len(V)):
        before, m = m, max(log_f[t] + m, log_i[t], 0.0)
        f, i = np.exp(log_f[t] + before - m), np.exp(log_i[t] - m)
        C, n = f * C + i * np.outer(K[t], V[t]), f * n + i * K[t]
        y[t] = _divide(Q[t] @ C, Q[t] @ n, m)
    return y, (C, n, np.array(m))


@checked
def chunkwise(
    Q: Keys, K: Keys, V: Values, log_i: PerToken, log_f: PerToken, state: State | None = None, chunk_size: int = 64
) -> tuple[Values, State]:
    """Quadratic inside a chunk, recurrent between chunks, O(N·chunk_size): `parallel` chunk by chunk."""
    return over_chunks(parallel, (Q, K, V, log_i, log_f), state, chunk_size)


@shapes_checked
def step(
    q_t: Float[np.ndarray, " d_k"],
    k_t: Float[np.ndarray, " d_k"],
    v_t: Float[np.ndarray, " d_v"],
    log_i_t: Float[np.ndarray, ""] | float,
    log_f_t: Float[np.ndarray, ""] | float,
    state: State | None = None,
) -> tuple[Float[np.ndarray, " d_v"], State]:
    """One token of `recurrent`; returns (y_t, state)."""
    gates = np.array([log_i_t], float), np.array([log_f_t], float)
    y, state = recurrent(q_t[None], k_t[None], v_t[None], *gates, state)
    return y[0], state
