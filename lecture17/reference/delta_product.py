"""DeltaProduct: several steps of the delta rule a token, after one decay. Introduced in 03e_family_since.

    S_t = (I - β_tn k_tn k_tnᵀ) ⋯ (I - β_t1 k_t1 k_t1ᵀ) a_t S_{t-1} + what the n = n_h steps write,    y_t = q_t S_t

Step i of a token replaces what k_ti recalls by v_ti, as a token of the delta rule does, and the next step sees the
result. So this is the delta rule on a sequence n_h times as long, in which the first step of each token decays and the
last is read. A product of reflections (β = 2) can turn the state by any angle, which one of them cannot.

Source: Siems et al., arXiv 2502.10297, Section 3. Arguments of all functions:

    Q: (N, d_k)             queries
    K: (N, n_h, d_k)        keys, in the order of the steps; a step is a contraction for β |k|² in [0, 2]
    V: (N, n_h, d_v)        values; y is (N, d_v)
    beta: (N, n_h)          how much each step replaces: 0 nothing, 1 all (for unit keys), 2 a reflection
    log_a: (N,)             log of each token's decay, at most 0, -inf allowed; None: no decay
    state: (d_k, d_v)       the state before the first token, zero if not given; the state after the last is returned

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a positive
or NaN log_a, a number that is not finite, or n_h or chunk_size < 1 raises ValueError naming the argument.
"""

import numpy as np
from jaxtyping import Float

from . import delta_rule
from ._chunks import over_chunks
from .validation import check_at_least_one, checked, shapes_checked

Queries = Float[np.ndarray, "N d_k"]
Keys = Float[np.ndarray, "N n_h d_k"]
Values = Float[np.ndarray, "N n_h d_v"]
PerStep = Float[np.ndarray, "N n_h"]
PerToken = Float[np.ndarray, " N"]
Outputs = Float[np.ndarray, "N d_v"]
State = Float[np.ndarray, "d_k d_v"]


def _steps(
    Q: np.ndarray, K: np.ndarray, V: np.ndarray, beta: np.ndarray, log_a: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The arguments of `delta_rule`, a token for each step: the first decays, and the last has the query."""
    N, n_h = beta.shape
    check_at_least_one(n_h=n_h)
    queries, decays = np.zeros_like(K), np.zeros_like(beta)
    queries[:, -1:] = Q[:, None]
    if log_a is not None:
        decays[:, 0] = log_a
    Q, K, V = (x.reshape(N * n_h, x.shape[2]) for x in (queries, K, V))
    return Q, K, V, beta.flatten(), decays.flatten()


@checked
def matrix(
    Q: Queries, K: Keys, V: Values, beta: PerStep, log_a: PerToken | None = None
) -> Float[np.ndarray, "N N*n_h"]:
    """The matrix M with y = M V, where V is all values as rows, (N · n_h, d_v); of V only the length matters.

    The rows of the delta rule's matrix that belong to the last steps.
    """
    n_h = beta.shape[1]
    return delta_rule.matrix(*_steps(Q, K, V, beta, log_a))[n_h - 1 :: n_h]


@checked
def parallel(
    Q: Queries, K: Keys, V: Values, beta: PerStep, log_a: PerToken | None = None, state: State | None = None
) -> tuple[Outputs, State]:
    """The attention view, O((N · n_h)²): the delta rule on all steps, read at the last of each token."""
    n_h = beta.shape[1]
    y, state = delta_rule.parallel(*_steps(Q, K, V, beta, log_a), state)
    return y[n_h - 1 :: n_h], state


@checked
def recurrent(
    Q: Queries, K: Keys, V: Values, beta: PerStep, log_a: PerToken | None = None, state: State | None = None
) -> tuple[Outputs, State]:
    """The SSM view, O(N): after the decay, n_h steps of gradient descent, the i-th on |v_ti - Sᵀ k_ti|²/2.

        S = a_t S_{t-1},    S = S + β_ti k_ti (v_ti - Sᵀ k_ti)ᵀ for i = 1 … n_h,    y_t = q_t S

    Source: arXiv 2502.10297, Section 3.
    """
    check_at_least_one(n_h=K.shape[1])
    S = np.zeros((K.shape[2], V.shape[2])) if state is None else state
    y = np.empty_like(V[:, 0])
    for t in range(len(V)):
        S = S if log_a is None else np.exp(log_a[t]) * S
        for k, v, b in zip(K[t], V[t], beta[t], strict=True):
            S = S + b * np.outer(k, v - k @ S)
        y[t] = Q[t] @ S
    return y, S


@checked
def chunkwise(
    Q: Queries,
    K: Keys,
    V: Values,
    beta: PerStep,
    log_a: PerToken | None = None,
    state: State | None = None,
    chunk_size: int = 64,
) -> tuple[Outputs, State]:
    """One triangular solve per chunk, recurrent between chunks, O(N·chunk_size): `parallel` chunk by chunk."""
    decays = np.zeros(len(beta)) if log_a is None else log_a
    return over_chunks(parallel, (Q, K, V, beta, decays), state, chunk_size)


@shapes_checked
def step(
    q_t: Float[np.ndarray, " d_k"],
    k_t: Float[np.ndarray, "n_h d_k"],
    v_t: Float[np.ndarray, "n_h d_v"],
    beta_t: Float[np.ndarray, " n_h"],
    log_a_t: Float[np.ndarray, ""] | float | None = None,
    state: State | None = None,
) -> tuple[Float[np.ndarray, " d_v"], State]:
    """One token of `recurrent`; returns (y_t, state)."""
    log_a = None if log_a_t is None else np.array([log_a_t], float)
    y, state = recurrent(q_t[None], k_t[None], v_t[None], beta_t[None], log_a, state)
    return y[0], state
