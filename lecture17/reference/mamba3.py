"""Mamba-3's core: SSD with the trapezoidal rule and a complex (rotating) state. Introduced in 03c_memory.

    S_t = α_t S_{t-1} + β_t B̃_{t-1} x_{t-1}ᵀ + γ_t B̃_t x_tᵀ,    y_t = C̃_t S_t       (S: d_state × d, keys × values)
    α_t = e^{log_a_t},   β_t = (1 - λ_t) Δ_t α_t,   γ_t = λ_t Δ_t

B̃_t and C̃_t are B_t and C_t with the pairs (0, 1), (2, 3), … rotated by the angles θ_0 + … + θ_t: a complex decay, kept
in real numbers by rotating what is written and read instead of the state. λ = 1 is SSD on Δ_t x_t (the Euler rule),
λ = 1/2 the trapezoidal rule. The two writes make it the sum of two SSDs with the same decays.
Source: Lahoti et al., arXiv 2603.15569, Section 3. Arguments of all functions:

    x: (N, d)                   the input; y has the same shape
    delta: (N,)                 step size Δ, at least 0
    lam: (N,)                   λ in [0, 1], how much of a step's input is taken at its end
    log_a: (N,)                 log of each token's decay, at most 0; -inf forgets everything before the token
    theta: (N, d_state // 2)    angle added at each token, in radians, for each pair
    B, C: (N, d_state)          how a token writes to the state, and how it reads from it; d_state is even
    state                       opaque: pass on what was returned, None at the start

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a positive or NaN
log_a, delta < 0, lam outside [0, 1], a number that is not finite, or chunk_size < 1 raises ValueError naming it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from . import ssd
from .validation import checked, shapes_checked

Values = Float[np.ndarray, "N d"]
PerToken = Float[np.ndarray, " N"]
Angles = Float[np.ndarray, "N n_pairs"]
Keys = Float[np.ndarray, "N 2*n_pairs"]
State = tuple[
    Float[np.ndarray, "2*n_pairs d"],  # S
    Float[np.ndarray, " n_pairs"],  # the angle so far
    Float[np.ndarray, " 2*n_pairs"],  # B̃ of the last token
    Float[np.ndarray, " d"],  # x of the last token
]


def _start(x: np.ndarray, theta: np.ndarray, state: State | None) -> State:
    """The state as (S, angle, B̃ of the last token, x of the last token)."""
    if state is None:
        n_pairs, d = theta.shape[-1], x.shape[-1]
        return np.zeros((2 * n_pairs, d)), np.zeros(n_pairs), np.zeros(2 * n_pairs), np.zeros(d)
    return state


def _rotated(X: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """The pairs (0, 1), (2, 3), … of the last axis rotated by `angle`, one angle per pair."""
    even, odd = X[..., 0::2], X[..., 1::2]
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([even * cos - odd * sin, even * sin + odd * cos], axis=-1).reshape(X.shape)


def _with_previous(last: np.ndarray, sequence: np.ndarray) -> np.ndarray:
    """Prepend the token before the first: row t is then the token before token t, the last row the last token."""
    return np.concatenate([last[None], sequence])


@checked
def matrix(
    x: Values, delta: PerToken, lam: PerToken, log_a: PerToken, theta: Angles, B: Keys, C: Keys
) -> Float[np.ndarray, "N N"]:
    """The matrix M with y = M x; of x only the length matters.

    M[i, j] = L[i, j] γ_j C̃_i·B̃_j + L[i, j+1] β_{j+1} C̃_i·B̃_j    (second term for j < i)
    """
    angle = np.cumsum(theta, axis=0)
    B, C = _rotated(B, angle), _rotated(C, angle)
    beta = (1 - lam) * delta * np.exp(log_a)
    M = ssd.matrix(x, log_a, B, C) * (lam * delta)
    M[1:, :-1] += ssd.matrix(x[1:], log_a[1:], B[:-1], C[1:]) * beta[1:]
    return M


def _two_ssds(form: Callable[..., tuple[np.ndarray, np.ndarray]], *arguments: Any) -> tuple[np.ndarray, State]:
    """SSD of what each token writes plus SSD of what its predecessor writes, both by `form` of ssd."""
    x, delta, lam, log_a, theta, B, C, state = arguments
    S, angle, B_last, x_last = _start(x, theta, state)
    angles = _with_previous(angle, angle + np.cumsum(theta, axis=0))  # (N+1, n_pairs)
    B, C = _rotated(B, angles[1:]), _rotated(C, angles[1:])
    Bs, xs = _with_previous(B_last, B), _with_previous(x_last, x)  # (N+1, d_state), (N+1, d)
    beta, gamma = (1 - lam) * delta * np.exp(log_a), lam * delta
    y_previous, S_previous = form(beta[:, None] * xs[:-1], log_a, Bs[:-1], C, S)
    y_own, S_own = form(gamma[:, None] * x, log_a, B, C)
    return y_previous + y_own, (S_previous + S_own, angles[-1], Bs[-1], xs[-1])


@checked
def parallel(
    x: Values,
    delta: PerToken,
    lam: PerToken,
    log_a: PerToken,
    theta: Angles,
    B: Keys,
    C: Keys,
    state: State | None = None,
) -> tuple[Values, State]:
    """The attention view, O(N²): two `ssd.parallel`."""
    return _two_ssds(ssd.parallel, x, delta, lam, log_a, theta, B, C, state)


@checked
def recurrent(
    x: Values,
    delta: PerToken,
    lam: PerToken,
    log_a: PerToken,
    theta: Angles,
    B: Keys,
    C: Keys,
    state: State | None = None,
) -> tuple[Values, State]:
    """The SSM view, O(N): S_t = α_t S_{t-1} + β_t B̃_{t-1} x_{t-1}ᵀ + γ_t B̃_t x_tᵀ, y_t = C̃_t S_t."""
    S, angle, B_last, x_last = _start(x, theta, state)
    y = np.empty_like(x)
    for t in range(len(x)):
        angle = angle + theta[t]
        B_t, C_t = _rotated(B[t], angle), _rotated(C[t], angle)
        alpha = np.exp(log_a[t])
        beta, gamma = (1 - lam[t]) * delta[t] * alpha, lam[t] * delta[t]
        S = alpha * S + beta * np.outer(B_last, x_last) + gamma * np.outer(B_t, x[t])
        y[t] = C_t @ S
        B_last, x_last = B_t, x[t].copy()
    return y, (S, angle, B_last, x_last)


@checked
def chunkwise(
    x: Values,
    delta: PerToken,
    lam: PerToken,
    log_a: PerToken,
    theta: Angles,
    B: Keys,
    C: Keys,
    state: State | None = None,
    chunk_size: int = 64,
) -> tuple[Values, State]:
    """Quadratic inside a chunk, recurrent between chunks, O(N·chunk_size): two `ssd.chunkwise`."""
    return _two_ssds(partial(ssd.chunkwise, chunk_size=chunk_size), x, delta, lam, log_a, theta, B, C, state)


@shapes_checked
def step(
    x_t: Float[np.ndarray, " d"],
    delta_t: Float[np.ndarray, ""] | float,
    lam_t: Float[np.ndarray, ""] | float,
    log_a_t: Float[np.ndarray, ""] | float,
    theta_t: Float[np.ndarray, " n_pairs"],
    B_t: Float[np.ndarray, " 2*n_pairs"],
    C_t: Float[np.ndarray, " 2*n_pairs"],
    state: State | None = None,
) -> tuple[Float[np.ndarray, " d"], State]:
    """One token of `recurrent`; returns (y_t, state)."""
    delta, lam, log_a = np.array([[delta_t], [lam_t], [log_a_t]], float)
    y, state = recurrent(x_t[None], delta, lam, log_a, theta_t[None], B_t[None], C_t[None], state)
    return y[0], state
